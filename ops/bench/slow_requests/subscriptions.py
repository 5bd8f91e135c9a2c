"""Subscriptions, as their owner and as an administrator."""


from .models import ADMIN_MODELS, model


def calls(world):
    reason = {"reason": "measuring"}
    restricted = world.name()
    world.made([world.api.ask("POST", ADMIN_MODELS, model(restricted) | {"restrictedAccess": True})])
    return {
        "POST /api/v1/subscriptions": lambda: world.each(
            lambda: {"token": world.person()["access_token"], "body": {"modelId": world.model}}),
        "PATCH /api/v1/subscriptions/{id}": lambda: owned(world, body={"metadata": {"note": "measured"}}),
        "PUT /api/v1/subscriptions/{id}/quotas": lambda: owned(world, body={"quotaRequests": 5}),
        "POST /api/v1/subscriptions/{id}/cancel": lambda: owned(world),
        "POST /api/v1/subscriptions/{id}/suspend": lambda: owned(world),
        "POST /api/v1/subscriptions/{id}/resume": lambda: owned(world, suspend),
        "POST /api/v1/subscriptions/{id}/request-review": lambda: owned(world, deny),
        "POST /api/v1/subscriptions/admin/reset-quotas": lambda: world.each(lambda: {"body": {"userId": world.user}}),
        "POST /api/v1/admin/subscriptions/approve": lambda: world.each(
            lambda: {"body": decision(world.subscribe(world.person()["access_token"], restricted))}),
        "POST /api/v1/admin/subscriptions/deny": lambda: [
            {"body": decision(found)} for _, found in subscriptions(world)],
        "POST /api/v1/admin/subscriptions/{id}/revert": lambda: administered(world, {"newStatus": "active"}, deny),
        "DELETE /api/v1/admin/subscriptions/{id}": lambda: administered(world, reason),
    }


def subscriptions(world, *steps):
    """Tokens of people and their subscriptions, each with a key, after these steps of theirs or an administrator's."""
    found = []
    for _ in range(world.count):
        token = world.person()["access_token"]
        found.append((token, world.subscribe(token)))
        world.api.ask("POST", "/api/v1/api-keys", world.key_body(), token)
    for step in steps:
        for token, subscription in found:
            step(world, token, subscription)
    return found


def suspend(world, token, subscription):
    world.api.ask("POST", f"/api/v1/subscriptions/{subscription}/suspend", None, token)


def deny(world, _, subscription):
    world.api.ask("POST", "/api/v1/admin/subscriptions/deny", decision(subscription))


def decision(subscription):
    return {"subscriptionIds": [subscription], "reason": "measuring"}


def owned(world, *steps, body=None):
    """About a subscription each, as its owner."""
    return [{"token": token, "id": found, "body": body} for token, found in subscriptions(world, *steps)]


def administered(world, body, *steps):
    return [{"id": found, "body": body} for _, found in subscriptions(world, *steps)]
