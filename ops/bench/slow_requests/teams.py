"""Teams and their members."""

TEAMS = "/api/v1/teams"


def calls(world):
    return {
        "POST /api/v1/teams": lambda: world.each(
            lambda: {"body": {"name": world.name(), "maxBudget": 100, "adminIds": [world.user]}}),
        "PATCH /api/v1/teams/{id}": lambda: about(world, {"maxBudget": 50, "allowedModels": [world.model]}),
        "DELETE /api/v1/teams/{id}": lambda: about(world),
        "POST /api/v1/teams/{id}/sync": lambda: about(world),
        "POST /api/v1/teams/{id}/members": lambda: [
            parts | {"body": {"userId": user, "role": "viewer"}}
            for parts, user in zip(about(world), world.users(world.count))],
        "PATCH /api/v1/teams/{id}/members/{userId}": lambda: about_members(world, {"role": "viewer"}),
        "DELETE /api/v1/teams/{id}/members/{userId}": lambda: about_members(world),
    }


def about(world, body=None):
    """About a team each that LiteLLM has."""
    return [{"id": team, "body": body} for team, _ in teams(world)]


def about_members(world, body=None):
    return [{"id": team, "userId": user, "body": body} for team, user in teams(world)]


def teams(world):
    """Teams and their only members."""
    users = world.users(world.count)
    answers = [world.api.ask("POST", TEAMS, {"name": world.name(), "adminIds": [user]}) for user in users]
    return list(zip(world.made(answers), users))
