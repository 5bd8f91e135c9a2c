"""Settings that change while the system runs."""

SETTINGS = "/api/v1/admin/settings"


def calls(world):
    key_defaults = {"defaults": {"maxBudget": 10}, "maximums": {"maxBudget": 1000, "tpmLimit": 1000000}}
    return {
        f"PUT {SETTINGS}/api-key-defaults": lambda: world.each(lambda: {"body": key_defaults}),
        f"PUT {SETTINGS}/user-defaults": lambda: world.each(lambda: {"body": {"maxBudget": 100, "rpmLimit": 60}}),
        f"PUT {SETTINGS}/currency": lambda: world.each(lambda: {"body": {"code": "EUR"}}),
        f"PUT {SETTINGS}/admin-analytics": lambda: world.each(lambda: {"body": {"topLimits": {"users": 5}}}),
    }
