"""Signing in, sessions, permissions and service tokens."""

import sys
import urllib.parse

from .server import Request


def calls(world):
    each, api = world.each, world.api
    return {
        "GET /api/auth/mock-login": lambda: each(lambda: {"path": sign_in(api), "token": "none"}),
        "GET /api/auth/callback": lambda: each(lambda: {"path": callback(api), "token": "none"}),
        "POST /api/auth/login": lambda: each(lambda: {"token": "none"}),
        "POST /api/auth/dev-token": lambda: each(lambda: {"body": {"username": world.name()}}),
        "POST /api/auth/validate": lambda: each(lambda: {"body": {"token": api.token}}),
        "POST /api/auth/refresh": lambda: each(lambda: {"body": refresh(api), "token": "none"}),
        "POST /api/auth/logout": lambda: each(lambda: {"token": world.person()["access_token"]}),
        "DELETE /api/auth/sessions": lambda: each(lambda: {"token": world.person()["access_token"]}),
        "DELETE /api/auth/sessions/{sessionId}": lambda: each(lambda: other_session(world)),
        "POST /api/rbac/permissions/check": lambda: each(lambda: {"body": {"permission": "models:read"}}),
        "POST /api/rbac/permissions/check-bulk": lambda: each(
            lambda: {"body": {"permissions": ["models:read", "users:write"]}}),
        "POST /api/v1/admin/service-tokens": lambda: each(lambda: {"body": service_token(world)}),
        "DELETE /api/v1/admin/service-tokens/{id}": lambda: each(
            lambda: {"id": api.ask("POST", "/api/v1/admin/service-tokens", service_token(world))["id"]}),
    }


def sign_in(api):
    """Where the browser goes first, as path and query."""
    url = urllib.parse.urlsplit(api.ask("POST", "/api/auth/login", {"refresh": True}, token="none")["authUrl"])
    return f"{url.path}?{url.query}"


def callback(api):
    url = urllib.parse.urlsplit(follow(api, sign_in(api)))
    return f"{url.path}?{url.query}"


def refresh(api):
    fragment = urllib.parse.urlsplit(follow(api, callback(api))).fragment
    found = urllib.parse.parse_qs(fragment)
    return {"refreshToken": found["refresh_token"][0], "sessionId": found["session_id"][0]}


def follow(api, path):
    status, location, _ = api.send(Request("GET", path, None, "none"))
    if status != 302 or not location:
        sys.exit(f"failed: signing in at {path} answered {status}")
    return location


def other_session(world):
    """A session beside the token of another session of the same user."""
    name = world.name()
    tokens = [
        world.api.ask("POST", "/api/auth/dev-token", {"username": name}, token="none")["access_token"] for _ in range(2)
    ]
    sessions = world.api.ask("GET", "/api/auth/sessions", token=tokens[0])
    return {"token": tokens[0], "sessionId": next(s["sessionId"] for s in sessions if not s["isCurrent"])}


def service_token(world):
    return {"name": world.name(), "scopes": ["admin:usage"]}
