"""Reads the documentation page as a person with a browser does, and tries an operation out.

Run by ops/test-docs. What is wrong is said; then the program ends non-zero.
"""

import argparse
import json
import sys
import urllib.request

from playwright.sync_api import TimeoutError, sync_playwright

METHODS = ("get", "post", "put", "patch", "delete")


def expect(condition, message):
    if not condition:
        sys.exit(f"failed: {message}")


def done(message):
    print(f"- {message}", flush=True)


def operations(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/docs/openapi.json", timeout=20) as answer:
        document = json.load(answer)
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in document["paths"].items() for method, operation in item.items() if method in METHODS
    }


class Docs:
    def __init__(self, page, options):
        self.page, self.options = page, options
        self.elsewhere, self.errors = [], []
        page.on("request", lambda request: self.elsewhere.append(request.url)
                if not request.url.startswith((options.url, "data:")) else None)
        page.on("console", lambda message: self.errors.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, fragment=""):
        self.page.goto(f"{self.options.url}/docs{fragment}")
        try:
            self.page.wait_for_selector("main[aria-busy=false]")
        except TimeoutError as error:
            sys.exit(f"failed: the page shows nothing: {self.errors or error}")

    def card(self, name):
        card = self.page.locator(f"details.operation#{name}")
        if not card.evaluate("card => card.open"):
            card.locator("> summary").click()
        card.locator("form.try").wait_for()
        return card

    def send(self, name, **fields):
        card = self.card(name)
        for field, value in fields.items():
            control = card.get_by_label(f"{field} (", exact=False)
            if control.evaluate("control => control.tagName") == "SELECT":
                control.select_option(value)
            else:
                control.fill(value)
        card.get_by_role("button", name="Send").click()
        card.locator(".result .status").wait_for()
        card.locator("form.try button[type=submit]:not([disabled])").wait_for()
        return card.locator(".result .status").inner_text(), card.locator(".result pre").inner_text()

    def every_operation(self, known):
        """Each one is there with its parameters, its body, its answers and a way to send it."""
        self.open()
        shown = self.page.locator("details.operation").evaluate_all("cards => cards.map(card => card.id)")
        expect(sorted(shown) == sorted(known), f"the page shows other operations: {set(known) ^ set(shown)}")
        for name, (method, path, operation) in known.items():
            card = self.card(name)
            summary = card.locator("> summary").inner_text()
            expect(method in summary and path in summary, f"{name} is shown as {summary!r}")
            answers = card.locator("> div > .response > .status").all_inner_texts()
            expect(sorted(answers) == sorted(operation["responses"]), f"{name} shows the answers {answers}")
            expect(("requestBody" in operation) == (card.locator("form.try textarea").count() == 1), f"the body of {name}")
            text = card.inner_text()
            for word in ("undefined", "[object Object]", "NaN"):
                expect(word not in text, f"{name} shows {word!r}")
        done(f"{len(known)} operations are shown, with what they take and answer")

    def search(self, known):
        self.open()
        self.page.get_by_label("Search").fill("health live")
        self.page.wait_for_function("document.getElementById('found').textContent.startsWith('1 of')")
        visible = self.page.locator("details.operation:visible").evaluate_all("cards => cards.map(card => card.id)")
        expect(visible == ["getLiveness"], f"searching for health live finds {visible}")
        self.page.get_by_label("Search").fill("nothing has this in it")
        self.page.wait_for_function("document.getElementById('found').textContent.startsWith('0 of')")
        expect(self.page.locator("details.operation:visible").count() == 0, "what is not found is shown")
        self.page.get_by_label("Search").fill("")
        self.page.wait_for_function(f"document.getElementById('found').textContent.startsWith('{len(known)} of')")
        done("searching finds, and finds nothing")

    def tries(self):
        self.open("#getLiveness")
        status, body = self.send("getLiveness")
        expect(status == "200 OK" and '"alive": true' in body, f"trying getLiveness gave {status} {body}")
        status, body = self.send("getMe")
        expect(status.startswith("401"), f"getMe without a token gave {status}")
        status, body = self.send("createDevToken")
        expect(status.startswith("200"), f"createDevToken gave {status} {body}")
        token = json.loads(body[body.index("{"):])["access_token"]
        self.page.get_by_label("Bearer token").fill(token)
        status, body = self.send("getMe")
        expect(status.startswith("200"), f"getMe with a token gave {status}")
        status, body = self.send("getAPIKey", id="no-uuid")
        expect(status.startswith("400") and "VALIDATION_ERROR" in body, f"a wrong id gave {status} {body}")
        status, body = self.send("listModels", limit="1")
        expect(status.startswith("200") and '"limit": 1' in body, f"a query gave {status} {body}")
        done("operations can be tried out, with path, query, body and token")

    def accessibility(self):
        """Every control has a name, every id is there once, headings come in order, the keyboard opens operations."""
        self.open("#createAPIKey")
        self.card("createAPIKey")
        problems = self.page.evaluate("""() => {
            const problems = [];
            for (const control of document.querySelectorAll('input, select, textarea')) {
                if (!control.labels?.length) problems.push(`a control without a label: ${control.id}`);
            }
            const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
            ids.filter((id, index) => ids.indexOf(id) !== index).forEach(id => problems.push(`an id twice: ${id}`));
            let level = 1;
            for (const heading of document.querySelectorAll('h1, h2, h3')) {
                const next = Number(heading.tagName[1]);
                if (next > level + 1) problems.push(`a heading too deep: ${heading.textContent}`);
                level = next;
            }
            for (const name of ['header', 'nav', 'main']) {
                if (document.querySelectorAll(name).length !== 1) problems.push(`not one ${name}`);
            }
            return problems;
        }""")
        expect(not problems, "; ".join(problems))
        summary = self.page.locator("details#getRoot > summary")
        summary.focus()
        self.page.keyboard.press("Enter")
        self.page.locator("details#getRoot form.try").wait_for()
        done("controls have names, headings an order, and the keyboard is enough")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", required=True)
    options.add_argument("--chromium", required=True)
    options.add_argument("--screenshot", required=True)
    options = options.parse_args()
    known = operations(options.url)
    expect(len(known) > 0, "the description names no operations")
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, whom containers run tests as.
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox", "--no-proxy-server"])
        docs = Docs(browser.new_page(viewport={"width": 1280, "height": 1000}), options)
        docs.every_operation(known)
        docs.search(known)
        docs.tries()
        docs.accessibility()
        docs.page.locator("details#createAPIKey").scroll_into_view_if_needed()
        docs.page.screenshot(path=options.screenshot)
        expect(not docs.elsewhere, f"the page asked elsewhere: {docs.elsewhere[:3]}")
        expect(not docs.errors, f"the browser reported: {docs.errors[:3]}")
        browser.close()
    done("nothing was asked of another server, and the browser reported no error")


if __name__ == "__main__":
    main()
