"""Calls every route that the API describes while LiteLLM takes its time, and says how long the API took.

Run by ops/bench-slow. Ends 1 when a route's p95 reaches the limit, when an answer is no success, or when the description
names a route that nothing here knows how to call.
"""

import argparse
import collections
import json
import math
import os
import sys
import threading
import time

from slow_requests import Requests, Server, World

METHODS = ("get", "post", "put", "patch", "delete")
# Routes that wait, or send as much as there is, because they were asked to.
WAITING = {
    "GET /api/v1/jobs/{id}/events": "stays open until the job ends",
    "GET /api/v1/admin/audit/export": "an export",
    "GET /api/v1/usage/export": "an export",
    "POST /api/v1/admin/usage/export": "an export",
    "GET /api/v1/usage/exports/{id}/download": "an export",
    "POST /api/v1/admin/models/test": "asks a provider and waits for it",
}
# Answers that are as right as a success, and why.
OTHER_ANSWERS = {
    "POST /api/v1/admin/schedules/{name}/trigger": {409},  # The job of the tick before still runs.
    # The installation keeps no single requests.
    "GET /api/v1/usage/requests": {404},
    "GET /api/v1/admin/usage/requests": {404},
}


def measure(api, requests, connections):
    """Milliseconds and status of each request, or `errors`, sent over a few connections."""
    waiting, lock, results = iter(requests), threading.Lock(), []

    def work():
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            begun = time.perf_counter()
            status, _, text = api.send(request)
            took = (time.perf_counter() - begun) * 1000
            results.append((took, "errors" if status < 400 and lists_errors(request, text) else status))

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(results) != len(requests):
        sys.exit(f"failed: {len(requests) - len(results)} of the requests to {requests[0].path} got no answer")
    return results


def lists_errors(request, text):
    """Whether an answer about several things says that some could not be done."""
    return request.method == "POST" and text.startswith(b"{") and bool(json.loads(text).get("errors"))


def report(operation, results, limit):
    """Prints a route's line; whether it holds."""
    times = sorted(ms for ms, _ in results)
    statuses = collections.Counter(status for _, status in results)
    p50, p95 = (times[math.ceil(part * len(times)) - 1] for part in (0.5, 0.95))
    right = {*range(400), *OTHER_ANSWERS.get(operation, ())}
    holds = p95 < limit and right.issuperset(statuses)
    shown = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items(), key=str))
    print(f"{'holds' if holds else 'FAILS'} {len(times):5d} {p50:8.1f} {p95:8.1f} {times[-1]:8.1f}   {operation}   {shown}",
          flush=True)
    return holds


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--api", required=True)
    options.add_argument("--litellm", required=True, help="the simulator")
    options.add_argument("--seconds", type=int, required=True)
    options.add_argument("--requests", type=int, required=True)
    options.add_argument("--connections", type=int, required=True)
    options.add_argument("--limit", type=float, required=True, help="milliseconds")
    options = options.parse_args()
    api = Server(options.api, "none")
    litellm = Server(options.litellm, os.environ["LITELLM_API_KEY"])
    world = World(api, litellm, options.requests)
    paths = api.ask("GET", "/api/v1/openapi.json")["paths"]
    operations = {
        f"{method.upper()} {path}": operation
        for path, item in paths.items() for method, operation in item.items() if method in METHODS
    }
    print(f"    making what {len(operations)} routes are called about", file=sys.stderr, flush=True)
    known = Requests(world)
    gone = {*WAITING, *OTHER_ANSWERS, *known.calls} - {*operations}
    if gone:
        sys.exit(f"failed: the description has no {', '.join(sorted(gone))}")
    requests = {name: known.make(name, about) for name, about in operations.items() if name not in WAITING}
    world.fault({"name": "slow", "action": {"kind": "latency", "ms": options.seconds * 1000}})
    # Something to be slow about.
    world.keys(options.requests)
    print(f"{'':5} {'times':>5} {'p50':>8} {'p95':>8} {'max':>8}   ms, by route", flush=True)
    failed = 0
    for name, wanted in requests.items():
        if not wanted:
            print(f"FAILS {'':32}   {name}   no request for it is known; add one to ops/bench/slow_requests", flush=True)
            failed += 1
        elif not report(name, measure(api, wanted, options.connections), options.limit):
            failed += 1
    hits = sum(fault["hits"] for fault in litellm.ask("GET", "/_sim/faults")["faults"])
    print(f"LiteLLM was called {hits} times meanwhile, and took {options.seconds} s each time")
    if hits == 0:
        sys.exit("failed: nothing called LiteLLM, so nothing was shown")
    if failed:
        sys.exit(f"failed: {failed} of {len(requests)} routes")
    print(f"holds: p95 of each of {len(requests)} routes is below {options.limit:.0f} ms")


if __name__ == "__main__":
    main()
