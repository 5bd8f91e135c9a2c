"""Whether our figures of use are LiteLLM's own, to the cent."""

import collections
import datetime
import decimal
import time

CENT = decimal.Decimal("0.01")
# LiteLLM adds money up in floating point.
NOISE = decimal.Decimal("0.000001")


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def theirs(world):
    """What LiteLLM's daily activity says of today: by key hash, by provider, and as a whole."""
    path = f"/user/daily/activity?start_date={today()}&end_date={today()}&page_size=1000"
    by_key, by_provider = (collections.defaultdict(lambda: figures({})) for _ in range(2))
    total, number = figures({}), 1
    while True:
        answer = world.litellm.ask("GET", f"{path}&page={number}")
        # A page has whatever its rows add up to.
        for result in answer["results"]:
            total = add(total, figures(result["metrics"]))
            for key, entry in result["breakdown"]["api_keys"].items():
                by_key[key] = add(by_key[key], figures(entry["metrics"]))
            for provider, entry in result["breakdown"]["providers"].items():
                by_provider[provider] = add(by_provider[provider], figures(entry["metrics"]))
        if not answer["metadata"]["has_more"]:
            return by_key, by_provider, total
        number += 1


def add(one, other):
    return {name: one[name] + other[name] for name in one}


def logged(world):
    """What LiteLLM's log of single requests says was spent today, by key hash."""
    day, number, spent = today(), 1, collections.defaultdict(decimal.Decimal)
    while True:
        answer = world.litellm.ask(
            "GET", f"/spend/logs/v2?start_date={day}%2000:00:00&end_date={day}%2023:59:59&page={number}&page_size=100")
        for row in answer["data"]:
            spent[row["api_key"]] += decimal.Decimal(str(row["spend"] or 0))
        if number >= answer["total_pages"]:
            return spent
        number += 1


def figures(metrics):
    return {
        "spend": decimal.Decimal(str(metrics.get("spend", 0))), "requests": metrics.get("api_requests", 0),
        "tokens": metrics.get("total_tokens", 0), "successful": metrics.get("successful_requests", 0),
        "failed": metrics.get("failed_requests", 0),
    }


def quiet(world):
    """LiteLLM's figures once they no longer change: it writes them a while after the calls."""
    before, since = None, time.monotonic()
    while time.monotonic() - since < 120:
        now = theirs(world)
        if now == before:
            return now
        before = now
        time.sleep(8)
    return before


def disagreements(world):
    """What differs, in words; and what was spent."""
    by_key, by_provider, total = quiet(world)
    job = world.api.ask("POST", "/api/v1/admin/usage/refresh-today", token=world.admin)["job"]["id"]
    world.eventually("today's usage is taken over", lambda: is_done(world, job))
    ours = world.rows(
        f"""
        select key_hash, sum(spend)::text as spend, sum(requests) as requests, sum(total_tokens) as tokens,
            sum(successful_requests) as successful, sum(failed_requests) as failed, bool_and(api_key_id is not null) as known
        from usage_daily where day = '{today()}' group by key_hash
        """)
    sums = figures({})
    wrong, logs = [], logged(world)
    known = {row["key_hash"] for row in world.rows("select key_hash from api_key_hashes")}
    for row in ours:
        mine = {name: decimal.Decimal(row[name]) if name == "spend" else row[name] for name in sums}
        sums = add(sums, mine)
        wrong += compare(f"key {row['key_hash'][:8]}", mine, by_key.pop(row["key_hash"], figures({})))
        if row["key_hash"] in known:
            if not row["known"]:
                wrong.append(f"key {row['key_hash'][:8]}: its use is nobody's")
            if abs(logs[row["key_hash"]] - mine["spend"]) >= CENT:
                wrong.append(f"key {row['key_hash'][:8]}: spent {mine['spend']}, logged {logs[row['key_hash']]}")
    wrong += [f"key {key[:8]}: used in LiteLLM only" for key, used in by_key.items() if used["requests"]]
    wrong += compare("the day", sums, total)
    wrong += told(world, by_provider, total)
    return wrong, total


def told(world, by_provider, total):
    """What the API's own answers make of it, the parts included."""
    days = {"startDate": today(), "endDate": today()}
    answer = world.api.ask("POST", "/api/v1/admin/usage/analytics", days, world.admin)
    summary = world.api.ask(
        "GET", f"/api/v1/usage/summary?startDate={today()}&endDate={today()}", token=world.admin)["totals"]
    costs = {name: decimal.Decimal(str(value)) for name, value in {
        "analytics": answer["totalCost"]["total"], "models": sum(answer["totalCost"]["byModel"].values()),
        "providers": sum(answer["totalCost"]["byProvider"].values()), "summary": summary["cost"]}.items()}
    wrong = [f"{name}: the API says {cost} was spent, LiteLLM {total['spend']}"
             for name, cost in costs.items() if abs(cost - total["spend"]) >= CENT]
    for provider, used in by_provider.items():
        cost = decimal.Decimal(str(answer["totalCost"]["byProvider"].get(provider, 0)))
        if abs(cost - used["spend"]) >= CENT:
            wrong.append(f"{provider}: the API says {cost} was spent, LiteLLM {used['spend']}")
    for name, requests in (("analytics", answer["totalRequests"]), ("summary", summary["requests"])):
        if requests != total["requests"]:
            wrong.append(f"{name}: the API says {requests} requests, LiteLLM {total['requests']}")
    return wrong


def is_done(world, job):
    state = world.api.ask("GET", f"/api/v1/jobs/{job}?wait=10", token=world.admin)["state"]
    world.expect(state not in ("failed", "cancelled"), f"job {job} ended {state}")
    return state == "succeeded"


def compare(what, mine, others):
    return [f"{what}: {name} is {mine[name]}, {others[name]} in LiteLLM" for name in mine
            if abs(mine[name] - others[name]) > (NOISE if name == "spend" else 0)]
