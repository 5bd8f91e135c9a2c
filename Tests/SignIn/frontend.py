"""What a LiteMaaS front end does about signing in, and nothing else: a page with a button, and the page that takes the
session out of the URL's fragment and asks the API who it is."""

import argparse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PAGE = """<!doctype html><meta charset="utf-8"><title>LiteMaaS</title>
<style>body { font: 16px/1.6 sans-serif; margin: 4rem auto; max-width: 36rem } dt { color: #666 }</style>
<h1>LiteMaaS</h1>%s"""
HOME = """<button id="login">Sign in</button><script>
document.getElementById("login").onclick = async () => {
  const answer = await fetch("%s/api/auth/login", { method: "POST" });
  location.href = (await answer.json()).authUrl;
};</script>"""
CALLBACK = """<p id="message">Signing in ...</p><dl id="me"></dl><script>
(async () => {
  const fragment = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("%s/api/v1/auth/me", {
    headers: { authorization: "Bearer " + fragment.get("token") } });
  const me = await answer.json();
  for (const name of ["name", "username", "email", "roles"]) {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = [].concat(me[name]).join(", ");
    value.id = name;
    document.getElementById("me").append(term, value);
  }
  document.getElementById("message").textContent =
    answer.ok ? "Signed in for " + fragment.get("expires_in") + " s" : "Failed";
})();</script>"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api", required=True)
    options = parser.parse_args()
    pages = {"/": HOME, "/auth/callback": CALLBACK}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(urlsplit(self.path).path)
            data = (PAGE % (page % options.api) if page else "not found").encode()
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
