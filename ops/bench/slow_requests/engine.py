"""Jobs, and what administrators steer them by."""

import itertools

REASON = {"reason": "measuring"}
DAYS = {"startDate": "2026-01-01", "endDate": "2026-03-31"}


def calls(world):
    def same(body=None):
        """About the example of the path, each time."""
        return [{"body": body}] * world.count

    retried, retried_by_admin, bulk, discarded = failed_jobs(world, 4)
    cancelled, cancelled_by_admin, rescheduled = future_jobs(world, 3)
    return {
        "POST /api/v1/jobs/{id}/retry": lambda: about(retried),
        "POST /api/v1/jobs/{id}/cancel": lambda: about(cancelled),
        "POST /api/v1/admin/jobs/{id}/retry": lambda: about(retried_by_admin, REASON),
        "POST /api/v1/admin/jobs/{id}/cancel": lambda: about(cancelled_by_admin, REASON),
        "POST /api/v1/admin/jobs/{id}/discard": lambda: about(discarded, REASON),
        "POST /api/v1/admin/jobs/{id}/reschedule": lambda: about(rescheduled, REASON | {"runAt": world.later(7200)}),
        "POST /api/v1/admin/jobs/bulk": lambda: [
            *same({"action": "retry", "filter": {"kind": "key.create", "state": "failed"}, "dryRun": True}),
            *[{"body": REASON | {"action": "retry", "filter": {"ids": [job]}, "dryRun": False}} for job in bulk],
        ],
        "POST /api/v1/admin/queues/{name}/pause": lambda: same(REASON),
        "POST /api/v1/admin/queues/{name}/resume": lambda: same(),
        "PUT /api/v1/admin/queues/{name}/limits": lambda: same({"maxRunning": 100}),
        "PUT /api/v1/admin/kinds/{name}/limits": lambda: same({"maxRunning": 100}),
        "PATCH /api/v1/admin/schedules/{name}": lambda: same({"jitterSeconds": 60}),
        "POST /api/v1/admin/schedules/{name}/enable": lambda: same(REASON),
        "POST /api/v1/admin/schedules/{name}/disable": lambda: same(REASON),
        "POST /api/v1/admin/schedules/{name}/trigger": lambda: same(),
        "POST /api/v1/admin/breakers/{name}/force": lambda: same(REASON | {"state": "closed"}),
        "POST /api/v1/admin/breakers/{name}/reset": lambda: same(),
        "POST /api/v1/admin/workers/{id}/drain": lambda: same(REASON),
        "POST /api/v1/admin/workers/{id}/resume": lambda: same(),
        "POST /api/v1/admin/usage/refresh-today": lambda: same(),
        "POST /api/v1/admin/usage/rebuild-cache": lambda: same(),
        "POST /api/v1/admin/usage/analytics": lambda: same(DAYS),
        "POST /api/v1/admin/usage/by-user": lambda: same(DAYS),
        "POST /api/v1/admin/usage/by-model": lambda: same(DAYS),
        "POST /api/v1/admin/usage/by-provider": lambda: same(DAYS),
        "POST /api/v1/usage/analytics": lambda: same(DAYS),
        "GET /api/v1/admin/usage/filter-options": lambda: [
            {"path": "/api/v1/admin/usage/filter-options?startDate=2026-01-01&endDate=2026-03-31"}] * world.count,
    }


def about(jobs, body=None):
    return [{"id": job, "body": body} for job in jobs]


def failed_jobs(world, sets):
    """Lists of jobs that LiteLLM refused for good."""
    world.fault({"name": "refuse", "match": {"path": "/key/generate"}, "action": {"kind": "status", "status": 422}})
    made = [[job for _, job in world.keys(world.count)] for _ in range(sets)]
    for jobs in made:
        world.end(jobs, "failed")
    world.litellm.ask("DELETE", "/_sim/faults")
    return made


def future_jobs(world, sets):
    """Lists of jobs that are due in an hour."""
    queue = "/api/v1/admin/queues/default"
    world.api.ask("POST", f"{queue}/pause", {"reason": "measuring", "force": True})
    made = [[job for _, job in world.keys(world.count)] for _ in range(sets)]
    for job in itertools.chain(*made):
        world.api.ask("POST", f"/api/v1/admin/jobs/{job}/reschedule", {"runAt": world.later(3600), "reason": "later"})
    world.api.ask("POST", f"{queue}/resume")
    return made
