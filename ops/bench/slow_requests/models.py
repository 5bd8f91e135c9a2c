"""Models: taken over from LiteLLM, made by administrators, and let go."""

from .world import quoted

ADMIN_MODELS = "/api/v1/admin/models"
# As often as LiteLLM must leave a model out before it is let go.
ABSENCES = 2


def calls(world):
    return {
        "POST /api/v1/models/refresh": lambda: world.each(dict),
        "POST /api/v1/models/sync": lambda: world.each(dict),
        "POST /api/v1/admin/sync/models": lambda: world.each(dict),
        "POST /api/v1/admin/models": lambda: world.each(lambda: {"body": model(world.name())}),
        "PUT /api/v1/admin/models/{id}": lambda: about(world, {"tpm": 2000, "api_key": "sk-another"}),
        "DELETE /api/v1/admin/models/{id}": lambda: about(world),
        "POST /api/v1/admin/models/{id}/retirement/undo": lambda: [{"id": name} for name in leaving(world)],
    }


def model(name):
    return {
        "model_name": name, "backend_model_name": "gpt-4o", "api_base": "https://models.example.com/v1",
        "api_key": "sk-measured", "input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002, "tpm": 1000,
        "rpm": 100, "max_tokens": 4096, "supports_vision": False, "supports_function_calling": True,
        "supports_parallel_function_calling": False, "supports_tool_choice": True,
    }


def about(world, body=None):
    """About a model each that was made here."""
    names = world.each(world.name)
    world.made([world.api.ask("POST", ADMIN_MODELS, model(name)) for name in names])
    return [{"id": quoted(name), "body": body} for name in names]


def leaving(world):
    """Models that LiteLLM lists no more, whose retirement is planned."""
    names = world.each(world.name)
    for name in names:
        parameters = {"model": "openai/gpt-4o"}
        world.litellm.ask(
            "POST", "/model/new", {"model_name": name, "litellm_params": parameters, "model_info": {"id": name}})
    sync(world)
    # The listing is doubted when half of the models are missing: these are to be fewer than those that stay.
    about(world)
    for name in names:
        world.litellm.ask("POST", "/model/delete", {"id": name})
    for _ in range(ABSENCES):
        sync(world)
    return names


def sync(world):
    world.made([world.api.ask("POST", "/api/v1/models/sync")])
