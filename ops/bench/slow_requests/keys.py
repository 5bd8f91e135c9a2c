"""Keys, of the caller and of others."""


def calls(world):
    reason = {"reason": "measuring"}
    return {
        "POST /api/v1/api-keys": lambda: world.each(lambda: {"body": world.key_body()}),
        "PATCH /api/v1/api-keys/{id}": lambda: own(world, {"maxBudget": 5}),
        "DELETE /api/v1/api-keys/{id}": lambda: own(world),
        "POST /api/v1/api-keys/{id}/rotate": lambda: own(world),
        "POST /api/v1/api-keys/{id}/reveal": lambda: own(world),
        "POST /api/v1/api-keys/{id}/retrieve-key": lambda: own(world),
        "POST /api/v1/api-keys/{id}/reset-spend": lambda: own(world),
        "POST /api/v1/api-keys/validate": lambda: world.each(
            lambda: {"body": {"key": world.api.ask("POST", "/api/v1/api-keys", world.key_body())["key"]}}),
        "POST /api/v1/api-keys/admin/cleanup-expired": lambda: world.each(dict),
        "PATCH /api/v1/admin/users/{id}/api-keys/{keyId}": lambda: users(world, {"maxBudget": 5}),
        "DELETE /api/v1/admin/users/{id}/api-keys/{keyId}": lambda: users(world, reason),
        "POST /api/v1/admin/users/{id}/api-keys/{keyId}/reset-spend": lambda: users(world),
    }


def live(world):
    """Keys that LiteLLM has."""
    made = world.keys(world.count)
    world.end([job for _, job in made], "succeeded")
    return [key for key, _ in made]


def own(world, body=None):
    return [{"id": key, "body": body} for key in live(world)]


def users(world, body=None):
    """About a key each, as one of its owner."""
    return [{"id": world.me, "keyId": key, "body": body} for key in live(world)]
