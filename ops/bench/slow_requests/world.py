"""What the routes are called about."""

import itertools
import os
import sys
import time
import urllib.parse

from .server import PATIENCE

# How long everything that was asked for before a job may take, in seconds.
BACKLOG = 600
ADMIN_USERS = "/api/v1/admin/users"


class World:
    """What there is. Everything is made before LiteLLM becomes slow."""

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
        self.team = self.made([api.ask("POST", "/api/v1/teams", {"name": self.name(), "adminIds": [self.user]})])[0]
        self.worker = str(api.ask("GET", "/api/v1/admin/workers")["data"][0]["id"])
        self.export = self.made([api.ask("GET", "/api/v1/usage/export?async=true")])[0]
        # What the parameter of a path is an example of, by what stands before it.
        self.examples = {
            "api-keys": self.key, "jobs": self.job, "users": self.user, "models": quoted(self.model),
            "workers": self.worker, "queues": "usage", "kinds": "usage.fetchDay", "schedules": "usage-refresh",
            "breakers": "litellm.usage", "assets": "docs.js", "subscriptions": self.subscription, "teams": self.team,
            "exports": self.export,
        }

    def path(self, template):
        """The path about the examples; nothing when one of its parameters is of nothing that is known."""
        parts = template.split("/")
        for index, part in enumerate(parts):
            if part.startswith("{"):
                parts[index] = self.examples.get(parts[index - 1])
        return None if None in parts else "/".join(parts)

    def name(self):
        return f"measured-{self.run}-{next(self.numbers)}"

    def each(self, make):
        return [make() for _ in range(self.count)]

    @staticmethod
    def later(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    def person(self, roles=("user",)):
        body = {"username": self.name(), "roles": list(roles)}
        return self.api.ask("POST", "/api/auth/dev-token", body, token="none")

    def first_model(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            models = self.api.ask("GET", "/api/v1/models?limit=100")["data"]
            usable = [model["id"] for model in models if model["isActive"]]
            if usable:
                return usable[0]
            time.sleep(0.2)
        sys.exit("failed: there are no models to ask keys for")

    def subscribe(self, token, model=None):
        return self.api.ask("POST", "/api/v1/subscriptions", {"modelId": model or self.model}, token)["id"]

    def key_body(self):
        return {"name": self.name(), "modelIds": [self.model]}

    def keys(self, count):
        """Ids of keys and of the jobs that make them."""
        answers = [self.api.ask("POST", "/api/v1/api-keys", self.key_body()) for _ in range(count)]
        return [(answer["id"], answer["job"]["id"]) for answer in answers]

    def user_body(self):
        name = self.name()
        return {"username": name, "email": f"{name}@example.com"}

    def users(self, count):
        return [self.api.ask("POST", ADMIN_USERS, self.user_body())["id"] for _ in range(count)]

    def made(self, answers, state="succeeded"):
        """Ids of what these answers of the API promise, once their jobs have ended so."""
        self.end([answer["job"]["id"] for answer in answers], state)
        return [answer.get("id") for answer in answers]

    def end(self, jobs, state):
        deadline = time.monotonic() + BACKLOG
        for job in jobs:
            seen = ""
            while seen != state:
                answer = self.api.ask("GET", f"/api/v1/jobs/{job}?wait=10")
                seen = answer["state"]
                if time.monotonic() > deadline or seen in ("succeeded", "failed", "cancelled") and seen != state:
                    sys.exit(f"failed: job {job} ({answer['kind']}) is {seen} instead of {state}")

    def fault(self, rule):
        self.litellm.ask("POST", "/_sim/faults", rule)


def quoted(name):
    """As a part of a path."""
    return urllib.parse.quote(name, safe="")
