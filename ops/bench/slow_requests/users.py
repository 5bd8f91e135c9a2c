"""Users, and whose address LiteLLM knows under another id."""

from .world import ADMIN_USERS


def calls(world):
    return {
        "PATCH /api/v1/users/me": lambda: world.each(lambda: {"body": {"fullName": world.name()}}),
        "PATCH /api/v1/users/{id}": lambda: about(world, {"roles": ["user", "readonly"]}),
        "POST /api/v1/admin/users": lambda: world.each(lambda: {"body": world.user_body()}),
        "PUT /api/v1/admin/users/{id}": lambda: about(world, {"fullName": "Measured"}),
        "DELETE /api/v1/admin/users/{id}": lambda: [{"id": user} for user in with_keys(world)],
        "POST /api/v1/admin/users/{id}/reactivate": lambda: [{"id": user} for user in inactive(world)],
        "POST /api/v1/admin/users/{id}/realign": lambda: [
            {"id": user, "body": {"action": "adopt", "reason": "measuring"}} for user in conflicting(world)],
        "PATCH /api/v1/admin/users/{id}/budget-limits": lambda: about(world, {"maxBudget": 7}),
        "POST /api/v1/admin/users/{id}/reset-spend": lambda: about(world),
        "POST /api/v1/admin/users/bulk-update-limits": lambda: [
            {"body": {"maxBudget": 7, "filter": {"userIds": [user]}}} for user in world.users(world.count)],
        "DELETE /api/v1/admin/users/{id}/sessions": lambda: about(world),
        "POST /api/v1/admin/users/{id}/api-keys": lambda: [
            {"id": user, "body": world.key_body()} for user in world.users(world.count)],
        "POST /api/v1/admin/users/{id}/subscriptions": lambda: about(world, {"modelIds": [world.model]}),
    }


def about(world, body=None):
    """About a user each."""
    return [{"id": user, "body": body} for user in world.users(world.count)]


def with_keys(world):
    users = world.users(world.count)
    world.made([world.api.ask("POST", f"{ADMIN_USERS}/{user}/api-keys", world.key_body()) for user in users])
    return users


def inactive(world):
    users = world.users(world.count)
    for user in users:
        world.api.ask("DELETE", f"{ADMIN_USERS}/{user}")
    return users


def conflicting(world):
    """Users whose address LiteLLM gave to somebody else before."""
    bodies = world.each(world.user_body)
    for body in bodies:
        other = {"user_id": world.name(), "user_email": body["email"], "auto_create_key": False}
        world.litellm.ask("POST", "/user/new", other)
    return world.made([world.api.ask("POST", ADMIN_USERS, body) for body in bodies], "failed")
