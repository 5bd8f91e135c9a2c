"""What ops/bench/slow.py sends: how each route is called, by resource, and what has to be there before.

Each module's `calls` has its operations that are no plain read: functions that make what they are about, and give a
list of what the requests consist of: parameters of the path by name, and `body`, `token` or the whole `path`.
"""

import collections
import sys

from . import accounts, engine, keys, models, reconciliation, settings, subscriptions, teams, users
from .server import Request, Server
from .world import World

__all__ = ["Requests", "Server", "World"]

RESOURCES = (accounts, users, keys, subscriptions, models, teams, settings, engine, reconciliation)


class Requests:
    """The requests of every operation that is known."""

    def __init__(self, world):
        self.world = world
        entries = [entry for resource in RESOURCES for entry in resource.calls(world).items()]
        twice = [name for name, times in collections.Counter(name for name, _ in entries).items() if times > 1]
        if twice:
            sys.exit(f"failed: written down twice: {', '.join(twice)}")
        self.calls = dict(entries)

    def make(self, operation, description):
        """What to send for an operation, `world.count` times; nothing when it is not known."""
        method, template = operation.split(" ")
        call = self.calls.get(operation)
        if call is not None:
            return [self.request(method, template, **parts) for parts in call()]
        path = self.world.path(template)
        # A change has to be written down: nobody can guess what it needs.
        if method != "GET" or path is None or any(needed(p) for p in description.get("parameters", [])):
            return []
        return [Request(method, path, None, None)] * self.world.count

    def request(self, method, template, body=None, token=None, path=None, **parameters):
        if path is None:
            path = template
            for name, value in parameters.items():
                path = path.replace("{" + name + "}", value)
            path = path if "{" not in path else self.world.path(path)
        return Request(method, path, body, token)


def needed(parameter):
    return parameter.get("required") and parameter.get("in") == "query"
