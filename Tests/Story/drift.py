"""Somebody changes LiteLLM by hand: what differs is found, reported, and set right as the policy says."""

import urllib.parse

import agreement


def before(world):
    """Nothing differs before anybody touched LiteLLM."""
    world.say("nothing differs, says reconciliation too")
    reconcile(world, {})
    found = findings(world, ("missing", "unknown", "differs", "alive"))
    world.expect(not found, f"reconciliation found {[describe(finding) for finding in found[:10]]}")


def by_hand(world, models):
    """Loses a key, changes a limit, makes a key, renames a user, unblocks a revoked key."""
    world.say("by hand, LiteLLM loses a key, changes a limit, makes a key, renames a user, revives a key")
    lost, changed = key_rows(world, "k.is_active and k.sync_status = 'synced' and k.expires_at is null "
                             "and exists (select 1 from api_key_models m join subscriptions s on s.user_id = k.user_id "
                             "and s.model_id = m.model_id and s.status = 'active' where m.api_key_id = k.id) "
                             "and (select u.is_active from users u where u.id = k.user_id)", 2)
    # One that LiteLLM still has, blocked.
    blocked = {row["token"] for row in agreement.pages(
        world, "/key/list?return_full_object=true&include_team_keys=true", "keys", "size") if row.get("blocked")}
    revived = next(row for row in key_rows(world, "not k.is_active and k.expires_at is null", 500) if row["key_hash"] in blocked)
    user = world.rows("select id from users where oauth_provider <> 'system' and is_active limit 1")[0]["id"]
    ask = world.litellm.ask
    ask("POST", "/key/delete", {"keys": [lost["key_hash"]]})
    ask("POST", "/key/update", {"key": changed["key_hash"], "max_budget": 123})
    foreign = ask("POST", "/key/generate", {"key_alias": f"{world.tag}-by-hand", "models": [models["open"]]})
    ask("POST", "/user/update", {"user_id": user, "user_alias": "Somebody Else"})
    ask("POST", "/key/unblock", {"key": revived["key_hash"]})
    return {
        ("key", lost["id"], "missing"), ("key", changed["id"], "differs"), ("user", user, "differs"),
        ("key", revived["id"], "alive"),
    }, foreign


def key_rows(world, condition, limit):
    return world.rows(f"select k.id, k.key_hash from api_keys k where {condition} order by k.id limit {limit}")


def reconcile(world, body):
    """Compares, and gives what came of it."""
    job = world.api.ask("POST", "/api/v1/admin/reconcile", body, world.admin)["job"]["id"]
    answer = world.eventually("the comparison ends", lambda: ended(world, job), 240)
    world.expect(answer["state"] == "succeeded" and answer["result"]["isComplete"], f"the comparison: {answer}")
    return answer["result"]


def ended(world, job):
    answer = world.api.ask("GET", f"/api/v1/jobs/{job}?wait=10", token=world.admin)
    return answer if answer["state"] in ("succeeded", "failed", "cancelled") else None


def findings(world, kinds, state="open"):
    query = urllib.parse.urlencode([("state", state), ("limit", "100"), *(("kind", kind) for kind in kinds)])
    return world.api.ask("GET", f"/api/v1/admin/drift?{query}", token=world.admin)["data"]


def describe(finding):
    return f"{finding['type']} {finding['objectId']} {finding['kind']} {finding.get('field', '')}"


def story(world, models):
    before(world)
    injected, foreign = by_hand(world, models)
    reconcile(world, {})
    found = {(f["type"], f["objectId"], f["kind"]) for f in findings(world, ("missing", "unknown", "differs", "alive"))}
    world.expect(found == injected, f"found {found}, injected {injected}")
    alien = [f for f in findings(world, ("foreign",)) if f.get("litellmId") == foreign["token"]]
    world.expect(len(alien) == 1, "the key made by hand was not reported")
    world.expect(len(agreement.disagreements(world)) >= len(injected), "a dry run changed something")
    world.say("all of it was found, nothing was changed; now the policy is to repair")
    repair = {kind: "repair" for kind in ("missing", "differs", "alive")}
    result = reconcile(world, {"dryRun": False, "policy": repair})
    world.expect(result["repaired"] + result["revoked"] == len(injected) and not result["failed"], f"came of it: {result}")
    world.settle()
    wrong = agreement.disagreements(world)
    world.expect(not wrong, f"after the repair: {wrong[:10]}")
    answer = world.litellm.ask("GET", f"/key/info?key={foreign['token']}")["info"]
    world.expect(not answer.get("blocked") and answer["key_alias"] == foreign["key_alias"], "the foreign key was touched")
    world.say("both sides agree again; the key made by hand was left alone")
