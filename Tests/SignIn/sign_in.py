"""Signs in as a browser does and looks at what comes of it. Sign-ins begin at the first API and end at the second one.

Run by ops/sign-in-test. A part that fails says what it saw and ends non-zero.
"""

import argparse
import os
import signal
import ssl
import sys
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx


def expect(condition, message):
    if not condition:
        sys.exit(f"failed: {message}")


def done(message):
    print(f"- {message}", flush=True)


class Person:
    """A browser with no memory."""

    def __init__(self, options):
        self.options = options
        verify = ssl.create_default_context(cafile=options.ca) if options.ca else True
        self.http = httpx.Client(verify=verify, timeout=20, trust_env=False, follow_redirects=False)

    def begin(self, api=None):
        """Where the provider is, as the API says."""
        answer = self.http.post(
            f"{api or self.options.first}/api/auth/login", headers={"origin": self.options.frontend})
        expect(answer.status_code == 200, f"login answered {answer.status_code} {answer.text}")
        url = answer.json()["authUrl"]
        expect(url.startswith(f"{self.options.issuer}/"), f"the browser is sent to {url}")
        return url

    def authorize(self, url, **form):
        """What the provider sends the browser back to."""
        expect(self.http.get(url).status_code == 200, "the provider shows its page")
        answer = self.http.post(url, data=form)
        expect(answer.status_code == 302, f"the provider answered {answer.status_code} {answer.text[:300]}")
        return answer.headers["location"]

    def end(self, callback, status=302):
        expect(callback.startswith(f"{self.options.second}/api/auth/callback?"), f"the provider sends to {callback}")
        answer = self.http.get(callback)
        expect(answer.status_code == status, f"the callback answered {answer.status_code} {answer.text[:300]}")
        return answer

    def session(self, answer):
        """The token in the redirect to the front end."""
        target, _, fragment = answer.headers["location"].partition("#")
        expect(target == f"{self.options.frontend}/auth/callback", f"the browser is sent to {target}")
        values = parse_qs(fragment)
        expect(values["expires_in"] == ["86400"], f"the session lasts {values['expires_in']}")
        return values["token"][0]

    def api(self, method, path, token, api=None, **arguments):
        return self.http.request(
            method, f"{api or self.options.first}{path}", headers={"authorization": f"Bearer {token}"}, **arguments)

    def me(self, token):
        """Who the session is, which both APIs know."""
        answers = [self.api("GET", "/api/v1/auth/me", token, api) for api in (self.options.first, self.options.second)]
        expect([each.status_code for each in answers] == [200, 200], f"me answered {answers[0].text}")
        expect(answers[0].json() == answers[1].json(), "both APIs know the same person")
        return answers[0].json()

    def sign_in(self, **form):
        return self.session(self.end(self.authorize(self.begin(), **form)))


def changed(url, **changes):
    """The URL with other values of some parameters."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    return urlunsplit(parts._replace(query=urlencode(query)))


def parameter(url, name):
    return parse_qs(urlsplit(url).query)[name][0]


def common(person, form):
    """What holds for any provider."""
    begun = person.begin()
    callback = person.authorize(begun, **form)
    person.session(person.end(callback))
    expect("state" in person.end(callback, 400).text, "a state works once")
    elsewhere = callback.replace(person.options.second, person.options.first)
    expect(person.http.get(elsewhere).status_code == 400, "nor at the other API")
    done("a sign-in that began at one API ended at the other; its state works at neither again")

    mine, theirs = person.begin(), person.begin()
    stolen = parameter(person.authorize(theirs, **form), "code")
    person.end(changed(f"{person.options.second}/api/auth/callback?", code=stolen, state=parameter(mine, "state")), 400)
    done("a code of another sign-in is refused")

    person.end(changed(f"{person.options.second}/api/auth/callback?", code="x", state="0" * 64), 400)
    refused = changed(
        f"{person.options.second}/api/auth/callback?", error="access_denied", state=parameter(person.begin(), "state"))
    person.end(refused, 403)
    person.end(refused, 400)
    done("unknown states, and a refusal by the provider, make no session")


def reasons(person, token, expected):
    answer = person.api("GET", "/api/v1/admin/auth/info", token, person.options.second)
    expect(answer.status_code == 200, f"auth/info answered {answer.status_code} {answer.text}")
    info = answer.json()
    expect({name: info[name] for name in expected} == expected, f"auth/info says {info}")
    done(f"operators see {info}")


def oidc(options):
    person = Person(options)
    users = f"{options.issuer}/users"
    claims = {
        "preferred_username": "ada", "name": "Ada Example", "email": "ada@example.com", "email_verified": True,
        "groups": ["litemaas-admins", "other"],
    }
    token = person.sign_in(sub="ada")
    me = person.me(token)
    expect(me["username"] == "ada" and me["email"] == "ada@example.com" and me["name"] == "Ada Example", f"{me}")
    expect(me["roles"] == ["admin", "user"], f"the group makes an administrator: {me}")
    done("signed in at the OpenID provider as an administrator, by group")
    common(person, {"sub": "ada"})

    person.end(person.authorize(changed(person.begin(), nonce="another"), sub="ada"), 400)
    done("an ID token with another nonce is refused")

    made = person.api("POST", "/api/v1/admin/users", token, json={"username": "bea-ahead", "email": "bea@example.com"})
    expect(made.status_code == 202, f"a user made ahead: {made.text}")
    bea = claims | {"preferred_username": "bea", "name": "Bea", "email": "bea@example.com", "groups": []}
    person.http.put(f"{users}/eve", json=bea | {"preferred_username": "eve", "email_verified": False})
    person.end(person.authorize(person.begin(), sub="eve"), 409)
    person.http.put(f"{users}/bea", json=bea)
    found = person.me(person.sign_in(sub="bea"))
    expect(found["id"] == made.json()["id"] and found["username"] == "bea", f"{found}")
    done("a user made ahead goes to whom the provider vouches for, and to nobody else")

    person.http.put(f"{users}/ada", json=claims | {"groups": ["litemaas-readonly"]})
    expect(person.me(person.sign_in(sub="ada"))["roles"] == ["admin-readonly", "user"], "roles follow the groups")
    expect(person.me(token)["roles"] == ["admin-readonly", "user"], "also in the session that began before")
    done("leaving a group takes its role away")
    reasons(person, token, {
        "provider": "oidc", "issuer": options.issuer, "groupsClaim": "groups", "discoveryStatus": "ok"})

    logout = person.api("POST", "/api/auth/logout", token).json()["logoutUrl"]
    expect(logout.startswith(f"{options.issuer}/oauth2/end_session?"), f"signing out leads to {logout}")
    expect(parameter(logout, "post_logout_redirect_uri") == options.frontend, logout)
    expect(person.http.get(logout).status_code == 200, "the provider knows the page")
    done("signing out names the provider's page")
    person.http.put(f"{users}/ada", json=claims)


def killed(options):
    """The API that made the session dies; the other one knows it all the same, and ends it."""
    person = Person(options)
    begun = person.http.post(
        f"{options.first}/api/auth/login", headers={"origin": options.frontend}, json={"refresh": True})
    location = person.end(person.authorize(begun.json()["authUrl"], sub="ada")).headers["location"]
    values = parse_qs(location.partition("#")[2])
    token, refresh = values["token"][0], values["refresh_token"][0]
    expect(person.me(token)["username"] == "ada", "both APIs know the session")
    open_state = person.begin()
    os.kill(int(options.victim), signal.SIGKILL)
    expect(person.api("GET", "/api/v1/auth/me", token).status_code == 200, "the session lives on")
    fresh = person.http.post(f"{options.first}/api/auth/refresh", json={"refreshToken": refresh})
    expect(fresh.status_code == 200, f"refreshing answered {fresh.status_code} {fresh.text}")
    token = fresh.json()["accessToken"]
    callback = person.authorize(open_state, sub="ada").replace(options.second, options.first)
    expect(person.http.get(callback).status_code == 302, "a sign-in under way ends at the API that is left")
    sessions = person.api("GET", "/api/auth/sessions", token).json()
    expect(len([each for each in sessions if each["isCurrent"]]) == 1, f"{sessions}")
    expect(person.api("POST", "/api/auth/logout", token).status_code == 200, "signing out works")
    expect(person.api("GET", "/api/v1/auth/me", token).status_code == 401, "and ends the session")
    done("an API that was killed took no session and no sign-in with it")


def openshift(options):
    person = Person(options)
    token = person.sign_in(username="olga")
    me = person.me(token)
    expect(me["username"] == "olga" and me["email"] == "olga@openshift.invalid", f"{me}")
    expect(me["name"] == "Olga Example" and me["roles"] == ["admin", "user"], f"{me}")
    done("signed in at OpenShift as an administrator, by group")
    common(person, {"username": "olga"})

    other = "A" * 43
    person.end(person.authorize(changed(person.begin(), code_challenge=other), username="olga"), 400)
    done("a code that is bound to another verifier is refused")

    denied = person.authorize(person.begin(), username="nobody")
    expect(parameter(denied, "error") == "access_denied", denied)
    person.end(denied, 403)
    done("whoever the cluster denies is denied")

    made = person.api("POST", "/api/v1/admin/users", token, json={"username": "pete", "email": "pete@example.org"})
    expect(made.status_code == 202, f"a user made ahead: {made.text}")
    expect(person.me(person.sign_in(username="pete"))["id"] == made.json()["id"], "found by name")
    done("a user made ahead is found by the cluster's name")

    person.http.post(f"{options.issuer}/test/users/olga", data={"groups": "litemaas-readonly"})
    expect(person.me(person.sign_in(username="olga"))["roles"] == ["admin-readonly", "user"], "roles follow the groups")
    done("leaving a group takes its role away")
    reasons(person, token, {"provider": "openshift", "issuer": options.issuer, "discoveryStatus": "ok"})
    expect(person.api("POST", "/api/auth/logout", token).json()["logoutUrl"] is None, "there is no page to sign out")


def browser(options):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox", "--disable-background-networking"])
        page = chromium.new_page(viewport={"width": 900, "height": 600})
        page.set_default_timeout(30_000)
        # Style sheets of the provider's page lie on the internet, which is no part of this.
        page.route("**/*", lambda route: (
            route.continue_() if urlsplit(route.request.url).hostname == "127.0.0.1" else route.abort()))
        page.goto(options.frontend)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="ada", exact=True).first.click()
        page.wait_for_url(f"{options.frontend}/auth/callback*")
        page.get_by_text("Signed in for 86400 s").wait_for()
        expect(page.locator("#username").text_content() == "ada", page.content())
        expect(page.locator("#roles").text_content() == "admin, user", page.content())
        page.screenshot(path=options.screenshot)
        chromium.close()
    done("a browser went from the front end to the provider and came back signed in")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["oidc", "browser", "killed", "openshift"])
    for name in ["first", "second", "frontend", "issuer"]:
        parser.add_argument(f"--{name}", required=True)
    for name in ["ca", "chromium", "screenshot", "victim"]:
        parser.add_argument(f"--{name}")
    options = parser.parse_args()
    {"oidc": oidc, "browser": browser, "killed": killed, "openshift": openshift}[options.part](options)


if __name__ == "__main__":
    main()
