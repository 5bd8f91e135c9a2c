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
        "POST /api/v1/admin/bulk/keys": lambda: world.each(lambda: {"body": batch(world)}),
        "POST /api/v1/admin/bulk/keys/extend": lambda: world.each(
            lambda: {"body": {"labels": [world.run], "duration": "7d"}}),
        "POST /api/v1/admin/bulk/keys/revoke": lambda: world.each(lambda: {"body": {"labels": ["nothing"]}}),
        "GET /api/v1/admin/bulk/keys/{id}": lambda: batches(world),
        "GET /api/v1/admin/bulk/keys/{id}/items": lambda: batches(world),
        "GET /api/v1/admin/bulk/keys/{id}/results": lambda: batches(world),
        "POST /api/v1/admin/bulk/keys/{id}/retry": lambda: batches(world, failing=True),
        "POST /api/v1/admin/bulk/keys/{id}/cancel": lambda: batches(world),
        "POST /api/v1/admin/bulk/keys/{id}/extend": lambda: batches(world, {"duration": "7d"}),
        "POST /api/v1/admin/bulk/keys/{id}/revoke": lambda: batches(world, reason),
    }


def batch(world, failing=False):
    """For somebody else: one does not subscribe oneself. Without a subscription its key fails."""
    return {
        "name": world.name(), "template": {"modelIds": [world.model], "duration": "1d"}, "labels": [world.run],
        "subscribe": not failing, "users": [world.users(1)[0] if failing else world.user],
    }


def batches(world, body=None, failing=False):
    """Batches whose jobs have ended."""
    made = [world.api.ask("POST", "/api/v1/admin/bulk/keys", batch(world, failing)) for _ in range(world.count)]
    world.end([answer["job"]["id"] for answer in made], "succeeded")
    return [{"id": answer["id"], "body": body} for answer in made]


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
