"""What ops/bench/slow.py sends: how each route is called, and what has to be there before."""

import collections
import http.client
import itertools
import json
import os
import sys
import threading
import time
import urllib.parse

PATIENCE = 90

Request = collections.namedtuple("Request", "method path body token")


class Server:
    """One server, over one connection for each thread."""

    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.token = parts.hostname, parts.port, token
        self.local = threading.local()

    def send(self, request):
        """Status, `Location` and body."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        headers = {"authorization": f"Bearer {request.token or self.token}"}
        body = None
        if request.body is not None:
            body, headers["content-type"] = json.dumps(request.body), "application/json"
        connection.request(request.method, request.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("location"), answer.read()

    def ask(self, method, path, body=None, token=None):
        """The body of an answer that is a success."""
        status, _, text = self.send(Request(method, path, body, token))
        if status >= 400:
            sys.exit(f"failed: {method} {path} answered {status} {text[:400]!r}")
        return json.loads(text) if text else None


class World:
    """What the routes are called about. Everything is made before LiteLLM becomes slow."""

    def __init__(self, api, litellm, count):
        self.api, self.litellm, self.count = api, litellm, count
        self.numbers = itertools.count(1)
        self.run = f"{os.getpid()}{int(time.time()) % 100000}"
        api.token = self.person(["admin", "user"])["access_token"]
        self.me = api.ask("GET", "/api/v1/auth/me")["id"]
        self.model = self.first_model()
        self.subscription = self.subscribe(None)
        self.key, self.job = self.keys(1)[0]
        self.end([self.job], "succeeded")
        self.user = self.users(1)[0]
        self.worker = str(api.ask("GET", "/api/v1/admin/workers")["data"][0]["id"])
        # What the parameter of a path is an example of, by what stands before it.
        self.examples = {
            "api-keys": self.key, "jobs": self.job, "users": self.user, "models": urllib.parse.quote(self.model, safe=""),
            "workers": self.worker, "queues": "usage", "kinds": "usage.fetchDay", "schedules": "usage-refresh",
            "breakers": "litellm.usage", "assets": "docs.js", "subscriptions": self.subscription,
        }

    def name(self):
        return f"measured-{self.run}-{next(self.numbers)}"

    def each(self, make):
        return [make() for _ in range(self.count)]

    def person(self, roles=("user",)):
        return self.api.ask("POST", "/api/auth/dev-token", {"username": self.name(), "roles": list(roles)}, token="none")

    def first_model(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            models = self.api.ask("GET", "/api/v1/models?limit=100")["data"]
            usable = [model["id"] for model in models if model["isActive"]]
            if usable:
                return usable[0]
            time.sleep(0.2)
        sys.exit("failed: there are no models to ask keys for")

    def key_body(self):
        return {"name": self.name(), "modelIds": [self.model]}

    def keys(self, count):
        """Ids of keys and of the jobs that make them."""
        answers = [self.api.ask("POST", "/api/v1/api-keys", self.key_body()) for _ in range(count)]
        return [(answer["id"], answer["job"]["id"]) for answer in answers]

    def live_keys(self):
        made = self.keys(self.count)
        self.end([job for _, job in made], "succeeded")
        return [key for key, _ in made]

    def end(self, jobs, state):
        deadline = time.monotonic() + PATIENCE
        for job in jobs:
            seen = ""
            while seen != state:
                seen = self.api.ask("GET", f"/api/v1/jobs/{job}?wait=10")["state"]
                if time.monotonic() > deadline or seen in ("succeeded", "failed", "cancelled") and seen != state:
                    sys.exit(f"failed: job {job} is {seen} instead of {state}")

    def fault(self, rule):
        self.litellm.ask("POST", "/_sim/faults", rule)

    def failed_jobs(self, sets):
        """Lists of jobs that LiteLLM refused for good."""
        self.fault({"name": "refuse", "match": {"path": "/key/generate"}, "action": {"kind": "status", "status": 422}})
        made = [[job for _, job in self.keys(self.count)] for _ in range(sets)]
        for jobs in made:
            self.end(jobs, "failed")
        self.litellm.ask("DELETE", "/_sim/faults")
        return made

    def future_jobs(self, sets):
        """Lists of jobs that are due in an hour."""
        queue = "/api/v1/admin/queues/default"
        self.api.ask("POST", f"{queue}/pause", {"reason": "measuring", "force": True})
        made = [[job for _, job in self.keys(self.count)] for _ in range(sets)]
        for job in itertools.chain(*made):
            self.api.ask("POST", f"/api/v1/admin/jobs/{job}/reschedule", {"runAt": self.later(3600), "reason": "later"})
        self.api.ask("POST", f"{queue}/resume")
        return made

    @staticmethod
    def later(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    def users(self, count):
        return [
            self.api.ask("POST", "/api/v1/admin/users", {"username": name, "email": f"{name}@example.com"})["id"]
            for name in (self.name() for _ in range(count))
        ]

    def inactive_users(self):
        users = self.users(self.count)
        for user in users:
            self.api.ask("DELETE", f"/api/v1/admin/users/{user}")
        return users

    def session_ids(self):
        """A session's token beside another session of the same user."""
        found = []
        for _ in range(self.count):
            name = self.name()
            tokens = [
                self.api.ask("POST", "/api/auth/dev-token", {"username": name}, token="none")["access_token"]
                for _ in range(2)
            ]
            sessions = self.api.ask("GET", "/api/auth/sessions", token=tokens[0])
            found.append((tokens[0], next(s["sessionId"] for s in sessions if not s["isCurrent"])))
        return found

    def subscribe(self, token):
        return self.api.ask("POST", "/api/v1/subscriptions", {"modelId": self.model}, token)["id"]

    def subscriptions(self, *steps):
        """Tokens of people and their subscriptions, after these steps of an administrator or their own."""
        found = []
        for _ in range(self.count):
            token = self.person()["access_token"]
            found.append((token, self.subscribe(token)))
        for step in steps:
            for token, subscription in found:
                step(token, subscription)
        return found

    def suspend(self, token, subscription):
        self.api.ask("POST", f"/api/v1/subscriptions/{subscription}/suspend", None, token)

    def deny(self, _, subscription):
        self.api.ask("POST", "/api/v1/admin/subscriptions/deny", self.decision(subscription))

    @staticmethod
    def decision(subscription):
        return {"subscriptionIds": [subscription], "reason": "measuring"}

    def owned(self, *steps, body=None):
        """About a subscription each, as its owner."""
        return [{"token": token, "id": found, "body": body} for token, found in self.subscriptions(*steps)]

    def decided(self, *steps):
        return [{"body": self.decision(found)} for _, found in self.subscriptions(*steps)]

    def administered(self, body, *steps):
        return [{"id": found, "body": body} for _, found in self.subscriptions(*steps)]

    def service_tokens(self):
        return self.each(lambda: self.api.ask("POST", "/api/v1/admin/service-tokens", self.service_token())["id"])

    def service_token(self):
        return {"name": self.name(), "scopes": ["admin:usage"]}

    def sign_in(self):
        """Where the browser goes first, as path and query."""
        url = urllib.parse.urlsplit(self.api.ask("POST", "/api/auth/login", {"refresh": True}, token="none")["authUrl"])
        return f"{url.path}?{url.query}"

    def callback(self):
        url = urllib.parse.urlsplit(self.follow(self.sign_in()))
        return f"{url.path}?{url.query}"

    def refresh(self):
        fragment = urllib.parse.urlsplit(self.follow(self.callback())).fragment
        found = urllib.parse.parse_qs(fragment)
        return {"refreshToken": found["refresh_token"][0], "sessionId": found["session_id"][0]}

    def follow(self, path):
        status, location, _ = self.api.send(Request("GET", path, None, "none"))
        if status != 302 or not location:
            sys.exit(f"failed: signing in at {path} answered {status}")
        return location

    # --- requests ------------------------------------------------------------------------------

    def path(self, template):
        """The path about the examples; nil when one of its parameters is of nothing that is known."""
        parts = template.split("/")
        for index, part in enumerate(parts):
            if part.startswith("{"):
                parts[index] = self.examples.get(parts[index - 1])
        return None if None in parts else "/".join(parts)

    def requests(self, operation, description):
        """What to send for an operation, `count` times; nothing when it is not known."""
        method, template = operation.split(" ")
        make = self.known().get(operation)
        if make is not None:
            return [self.request(method, template, **parts) for parts in make()]
        path = self.path(template)
        # A change has to be written down above: nobody can guess what it needs.
        if method != "GET" or path is None or any(needed(p) for p in description.get("parameters", [])):
            return []
        return [Request(method, path, None, None)] * self.count

    def request(self, method, template, body=None, token=None, path=None, **parameters):
        if path is None:
            path = template
            for name, value in parameters.items():
                path = path.replace("{" + name + "}", value)
            path = path if "{" not in path else self.path(path)
        return Request(method, path, body, token)

    def known(self):
        """How each operation is called that is no plain read: a list of what its requests consist of."""
        if not hasattr(self, "calls"):
            retried, retried_by_admin, discarded = self.failed_jobs(3)
            cancelled, cancelled_by_admin, rescheduled = self.future_jobs(3)
            reason = {"reason": "measuring"}
            self.calls = {
                "GET /api/auth/mock-login": lambda: self.each(lambda: {"path": self.sign_in(), "token": "none"}),
                "GET /api/auth/callback": lambda: self.each(lambda: {"path": self.callback(), "token": "none"}),
                "POST /api/auth/login": lambda: self.each(lambda: {"token": "none"}),
                "POST /api/auth/dev-token": lambda: self.each(lambda: {"body": {"username": self.name()}}),
                "POST /api/auth/validate": lambda: self.each(lambda: {"body": {"token": self.api.token}}),
                "POST /api/auth/refresh": lambda: self.each(lambda: {"body": self.refresh(), "token": "none"}),
                "POST /api/auth/logout": lambda: self.each(lambda: {"token": self.person()["access_token"]}),
                "DELETE /api/auth/sessions": lambda: self.each(lambda: {"token": self.person()["access_token"]}),
                "DELETE /api/auth/sessions/{sessionId}": lambda: [
                    {"token": token, "sessionId": other} for token, other in self.session_ids()],
                "POST /api/rbac/permissions/check": lambda: self.each(lambda: {"body": {"permission": "models:read"}}),
                "POST /api/rbac/permissions/check-bulk": lambda: self.each(
                    lambda: {"body": {"permissions": ["models:read", "users:write"]}}),
                "POST /api/v1/api-keys": lambda: self.each(lambda: {"body": self.key_body()}),
                "DELETE /api/v1/api-keys/{id}": lambda: [{"id": key} for key in self.live_keys()],
                "PATCH /api/v1/api-keys/{id}": lambda: self.about_keys({"maxBudget": 5}),
                "POST /api/v1/api-keys/{id}/rotate": lambda: self.about_keys(None),
                "POST /api/v1/api-keys/{id}/reveal": lambda: self.about_keys(None),
                "POST /api/v1/api-keys/{id}/retrieve-key": lambda: self.about_keys(None),
                "POST /api/v1/api-keys/{id}/reset-spend": lambda: self.about_keys(None),
                "POST /api/v1/api-keys/validate": lambda: self.each(lambda: {"body": {"key": "sk-0123456789abcdef"}}),
                "POST /api/v1/api-keys/admin/cleanup-expired": lambda: self.each(dict),
                "POST /api/v1/admin/users/{id}/api-keys": lambda: [
                    {"id": user, "body": self.key_body()} for user in self.users(self.count)],
                "PATCH /api/v1/admin/users/{id}/api-keys/{keyId}": lambda: self.about_keys({"maxBudget": 5}, "keyId"),
                "DELETE /api/v1/admin/users/{id}/api-keys/{keyId}": lambda: self.about_keys(reason, "keyId"),
                "POST /api/v1/admin/users/{id}/api-keys/{keyId}/reset-spend": lambda: self.about_keys(None, "keyId"),
                "POST /api/v1/models/refresh": lambda: self.each(dict),
                "POST /api/v1/models/sync": lambda: self.each(dict),
                "POST /api/v1/admin/sync/models": lambda: self.each(dict),
                "POST /api/v1/subscriptions": lambda: self.each(
                    lambda: {"token": self.person()["access_token"], "body": {"modelId": self.model}}),
                "PATCH /api/v1/subscriptions/{id}": lambda: self.owned(body={"metadata": {"note": "measured"}}),
                "PUT /api/v1/subscriptions/{id}/quotas": lambda: self.owned(body={"quotaRequests": 5}),
                "POST /api/v1/subscriptions/{id}/cancel": lambda: self.owned(),
                "POST /api/v1/subscriptions/{id}/suspend": lambda: self.owned(),
                "POST /api/v1/subscriptions/{id}/resume": lambda: self.owned(self.suspend),
                "POST /api/v1/subscriptions/{id}/request-review": lambda: self.owned(self.deny),
                "POST /api/v1/subscriptions/admin/reset-quotas": lambda: self.each(
                    lambda: {"body": {"userId": self.user}}),
                "POST /api/v1/admin/subscriptions/approve": lambda: self.decided(self.deny),
                "POST /api/v1/admin/subscriptions/deny": lambda: self.decided(),
                "POST /api/v1/admin/subscriptions/{id}/revert": lambda: self.administered({"newStatus": "active"}, self.deny),
                "DELETE /api/v1/admin/subscriptions/{id}": lambda: self.administered(reason),
                "POST /api/v1/admin/users/{id}/subscriptions": lambda: self.about_users({"modelIds": [self.model]}),
                "PATCH /api/v1/users/me": lambda: self.each(lambda: {"body": {"fullName": self.name()}}),
                "PATCH /api/v1/users/{id}": lambda: self.about_users({"roles": ["user", "readonly"]}),
                "POST /api/v1/admin/users": lambda: self.each(
                    lambda: {"body": {"username": (name := self.name()), "email": f"{name}@example.com"}}),
                "PUT /api/v1/admin/users/{id}": lambda: self.about_users({"fullName": "Measured"}),
                "DELETE /api/v1/admin/users/{id}": lambda: self.about_users(None),
                "POST /api/v1/admin/users/{id}/reactivate": lambda: [{"id": user} for user in self.inactive_users()],
                "PATCH /api/v1/admin/users/{id}/budget-limits": lambda: self.about_users({"maxBudget": 7}),
                "DELETE /api/v1/admin/users/{id}/sessions": lambda: self.about_users(None),
                "POST /api/v1/admin/service-tokens": lambda: self.each(lambda: {"body": self.service_token()}),
                "DELETE /api/v1/admin/service-tokens/{id}": lambda: [{"id": token} for token in self.service_tokens()],
                "POST /api/v1/admin/usage/refresh-today": lambda: self.each(dict),
                "POST /api/v1/jobs/{id}/retry": lambda: [{"id": job} for job in retried],
                "POST /api/v1/jobs/{id}/cancel": lambda: [{"id": job} for job in cancelled],
                "POST /api/v1/admin/jobs/{id}/retry": lambda: [{"id": j, "body": reason} for j in retried_by_admin],
                "POST /api/v1/admin/jobs/{id}/cancel": lambda: [{"id": j, "body": reason} for j in cancelled_by_admin],
                "POST /api/v1/admin/jobs/{id}/discard": lambda: [{"id": j, "body": reason} for j in discarded],
                "POST /api/v1/admin/jobs/{id}/reschedule": lambda: [
                    {"id": job, "body": reason | {"runAt": self.later(7200)}} for job in rescheduled],
                "POST /api/v1/admin/jobs/bulk": lambda: self.each(lambda: {
                    "body": {"action": "retry", "filter": {"kind": "key.create", "state": "failed"}, "dryRun": True}}),
                "POST /api/v1/admin/queues/{name}/pause": lambda: self.each(lambda: {"body": reason}),
                "POST /api/v1/admin/queues/{name}/resume": lambda: self.each(dict),
                "PUT /api/v1/admin/queues/{name}/limits": lambda: self.each(lambda: {"body": {"maxRunning": 100}}),
                "PUT /api/v1/admin/kinds/{name}/limits": lambda: self.each(lambda: {"body": {"maxRunning": 100}}),
                "PATCH /api/v1/admin/schedules/{name}": lambda: self.each(lambda: {"body": {"jitterSeconds": 60}}),
                "POST /api/v1/admin/schedules/{name}/enable": lambda: self.each(lambda: {"body": reason}),
                "POST /api/v1/admin/schedules/{name}/disable": lambda: self.each(lambda: {"body": reason}),
                "POST /api/v1/admin/schedules/{name}/trigger": lambda: self.each(dict),
                "POST /api/v1/admin/breakers/{name}/force": lambda: self.each(
                    lambda: {"body": reason | {"state": "closed"}}),
                "POST /api/v1/admin/breakers/{name}/reset": lambda: self.each(dict),
                "POST /api/v1/admin/workers/{id}/drain": lambda: self.each(lambda: {"body": reason}),
                "POST /api/v1/admin/workers/{id}/resume": lambda: self.each(dict),
            }
        return self.calls

    def about_keys(self, body, name="id"):
        """About a key each; beside `keyId`, `id` is its owner."""
        owner = {} if name == "id" else {"id": self.me}
        return [owner | {name: key, "body": body} for key in self.live_keys()]

    def about_users(self, body):
        return [{"id": user, "body": body} for user in self.users(self.count)]


def needed(parameter):
    return parameter.get("required") and parameter.get("in") == "query"
