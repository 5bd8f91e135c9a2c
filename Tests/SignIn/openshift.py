"""A double of OpenShift's OAuth server and of the part of its API that tells who a token's owner is.

Strict where OpenShift is: registered client and redirect URI, PKCE (S256) checked, a code works once, the secret is
needed to trade it in, and the API refuses tokens that it did not give.
"""

import argparse
import base64
import hashlib
import html
import json
import os
import secrets
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT = "litemaas"
SCOPES = {"user:info", "user:check-access"}
# Name: what the API tells of the user. POST /test/users/<name> replaces the groups.
USERS = {
    "olga": {"uid": "6a1f6f5e-0000-4000-8000-000000000001", "fullName": "Olga Example", "groups": ["litemaas-admins"]},
    "pete": {"uid": "6a1f6f5e-0000-4000-8000-000000000002", "fullName": "Pete Example", "groups": []},
}
codes = {}
tokens = {}


def status(code, reason, message):
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        print(self.command, urlsplit(self.path).path, arguments[1], flush=True)

    def answer(self, code, body, kind="application/json", headers=()):
        data = (json.dumps(body) if kind == "application/json" else body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def form(self):
        length = int(self.headers.get("Content-Length") or 0)
        return {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}

    def back(self, request, **parameters):
        parameters["state"] = request.get("state", "")
        self.answer(302, "", "text/plain", [("Location", f"{request['redirect_uri']}?{urlencode(parameters)}")])

    def authorization(self):
        """The request for a code, or None after an answer that it cannot be."""
        request = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if request.get("client_id") != CLIENT or request.get("redirect_uri") != self.server.redirect:
            self.answer(400, {"error": "unauthorized_client", "error_description": "not a registered client"})
        elif request.get("response_type") != "code":
            self.back(request, error="unsupported_response_type")
        elif not set(request.get("scope", "").split()) <= SCOPES:
            self.back(request, error="invalid_scope")
        elif request.get("code_challenge_method") != "S256" or len(request.get("code_challenge", "")) != 43:
            self.back(request, error="invalid_request")
        else:
            return request

    def do_GET(self):
        path = urlsplit(self.path).path
        base = f"https://{self.headers['Host']}"
        if path == "/.well-known/oauth-authorization-server":
            self.answer(200, {
                "issuer": base, "authorization_endpoint": f"{base}/oauth/authorize",
                "token_endpoint": f"{base}/oauth/token", "response_types_supported": ["code", "token"],
                "grant_types_supported": ["authorization_code", "implicit"],
                "code_challenge_methods_supported": ["plain", "S256"],
            })
        elif path == "/oauth/authorize":
            if self.authorization():
                action = html.escape(self.path)
                self.answer(200, f'<form method="post" action="{action}"><input name="username"></form>', "text/html")
        elif path == "/apis/user.openshift.io/v1/users/~":
            self.user()
        else:
            self.answer(404, status(404, "NotFound", "there is no such thing"))

    def user(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        name = tokens.get(token) if kind == "Bearer" else None
        if name is None:
            self.answer(401, status(401, "Unauthorized", "Unauthorized"))
            return
        user = USERS[name]
        self.answer(200, {
            "kind": "User", "apiVersion": "user.openshift.io/v1",
            "metadata": {"name": name, "uid": user["uid"], "creationTimestamp": "2026-01-01T00:00:00Z"},
            "fullName": user["fullName"], "identities": [f"htpasswd:{name}"], "groups": user["groups"],
        })

    def do_POST(self):
        path = urlsplit(self.path).path
        if path == "/oauth/authorize":
            request = self.authorization()
            if not request:
                return
            name = self.form().get("username")
            if name not in USERS:
                self.back(request, error="access_denied")
                return
            code = f"sha256~{secrets.token_urlsafe(32)}"
            codes[code] = (name, request)
            self.back(request, code=code)
        elif path == "/oauth/token":
            self.token(self.form())
        elif path.startswith("/test/users/"):
            USERS[path.rsplit("/", 1)[1]]["groups"] = self.form().get("groups", "").split()
            self.answer(200, {})
        else:
            self.answer(404, status(404, "NotFound", "there is no such thing"))

    def token(self, form):
        name, request = codes.pop(form.get("code"), (None, None))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if form.get("client_id") != CLIENT or form.get("client_secret") != os.environ["CLIENT_SECRET"]:
            self.answer(401, {"error": "unauthorized_client", "error_description": "the secret is wrong"})
        elif form.get("grant_type") != "authorization_code":
            self.answer(400, {"error": "unsupported_grant_type"})
        elif name is None or form.get("redirect_uri") != request["redirect_uri"]:
            self.answer(400, {"error": "invalid_grant"})
        elif challenge != request["code_challenge"]:
            self.answer(400, {"error": "invalid_grant", "error_description": "the verifier does not match"})
        else:
            token = f"sha256~{secrets.token_urlsafe(32)}"
            tokens[token] = name
            self.answer(200, {
                "access_token": token, "expires_in": 86400, "scope": request["scope"], "token_type": "Bearer",
            })


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--redirect", required=True)
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.redirect = options.redirect
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
