"""Comparing LiteLLM with our rows, and deciding about what differs."""

DRIFT = "/api/v1/admin/drift"
USERS = "/api/v1/admin/users"


def calls(world):
    return {
        "GET /api/v1/admin/drift/{id}": lambda: [{"id": finding} for finding, _ in strangers(world)],
        "POST /api/v1/admin/drift/{id}/repair": lambda: [{"id": finding} for finding in differing(world)],
        "POST /api/v1/admin/drift/{id}/revoke": lambda: [
            {"id": finding, "body": {"confirm": alias}} for finding, alias in strangers(world)],
        "POST /api/v1/admin/drift/{id}/adopt": lambda: [
            {"id": finding, "body": {"userId": world.user, "subscribe": True}} for finding, _ in strangers(world)],
        "POST /api/v1/admin/drift/{id}/ignore": lambda: [{"id": finding} for finding, _ in strangers(world)],
        "POST /api/v1/admin/reconcile": lambda: world.each(lambda: {"body": {"scope": ["keys"]}}),
        "POST /api/v1/integration/sync": lambda: world.each(lambda: {"body": {"userId": world.user}}),
    }


def strangers(world):
    """Findings about keys that somebody made in LiteLLM, and their aliases."""
    aliases = world.each(world.name)
    for alias in aliases:
        world.litellm.ask("POST", "/key/generate", {"key_alias": alias, "models": [world.model]})
    found = {finding["name"]: finding["id"] for finding in findings(world, "keys", "foreign")}
    return [(found[alias], alias) for alias in aliases]


def differing(world):
    """Findings about users that somebody renamed in LiteLLM."""
    users = world.made([world.api.ask("POST", USERS, world.user_body()) for _ in range(world.count)])
    for user in users:
        world.litellm.ask("POST", "/user/update", {"user_id": user, "user_alias": world.name()})
    found = {finding["objectId"]: finding["id"] for finding in findings(world, "users", "differs")}
    return [found[user] for user in users]


def findings(world, scope, kind):
    world.made([world.api.ask("POST", "/api/v1/admin/reconcile", {"scope": [scope]})])
    return world.api.ask("GET", f"{DRIFT}?kind={kind}&state=open&limit=100")["data"]
