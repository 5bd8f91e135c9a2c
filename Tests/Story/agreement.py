"""Whether LiteLLM has what our tables say, object by object."""

import datetime

# LiteLLM counts the time left from when it gets a request.
EXPIRY_TOLERANCE = 300


def disagreements(world):
    """What differs, in words."""
    return [*of_users(world), *of_team(world), *of_keys(world), *of_models(world)]


def pages(world, path, member, size):
    """All rows of a listing of LiteLLM, in an order: without one, rows that change meanwhile move between pages."""
    rows, number = [], 1
    while True:
        order = "sort_by=created_at&sort_order=asc"
        answer = world.litellm.ask("GET", f"{path}{'&' if '?' in path else '?'}{order}&page={number}&{size}=100")
        rows += answer[member]
        if number >= answer["total_pages"] or not answer[member]:
            return rows
        number += 1


def compare(what, wanted, found):
    return [f"{what}: {field} is {found.get(field)!r} instead of {value!r}"
            for field, value in wanted.items() if found.get(field) != value]


def owner(row, member):
    metadata = row.get("metadata") or {}
    return metadata.get(member) if metadata.get("created_by") == "litemaas" else None


def of_users(world):
    found = {row["user_id"]: row for row in pages(world, "/user/list", "users", "page_size")}
    wrong = []
    rows = world.rows("select id, username, email, full_name, roles, max_budget::float8, tpm_limit, rpm_limit, sync_status "
                      "from users where oauth_provider <> 'system'")
    for row in rows:
        there = found.pop(row["id"], None)
        if there is None:
            wrong.append(f"user {row['username']}: not in LiteLLM")
            continue
        wrong += compare(f"user {row['username']}", {
            "user_email": row["email"], "user_alias": row["full_name"] or row["username"],
            "user_role": "proxy_admin" if "admin" in row["roles"] else "internal_user",
            "max_budget": row["max_budget"], "tpm_limit": row["tpm_limit"], "rpm_limit": row["rpm_limit"],
        }, there)
        if owner(there, "db_user_id") != row["id"] or row["sync_status"] != "synced":
            wrong.append(f"user {row['username']}: marked for {owner(there, 'db_user_id')}, {row['sync_status']} here")
    return wrong + [f"user {id}: ours in LiteLLM, not here" for id, row in found.items() if owner(row, "db_user_id")]


def of_team(world):
    wrong = []
    for team in world.rows("select id, name from teams where is_active"):
        answer = world.litellm.ask("GET", f"/team/info?team_id={team['id']}")
        # LiteLLM's own administrator is a member of every team.
        there = [member["user_id"] for member in answer["team_info"]["members_with_roles"]
                 if member["user_id"] != "default_user_id"]
        here = {row["user_id"] for row in world.rows(f"select user_id from team_members where team_id = '{team['id']}'")}
        if len(there) != len(set(there)):
            wrong.append(f"team {team['name']}: members twice")
        if missing := here - set(there):
            wrong.append(f"team {team['name']}: {len(missing)} members are not there")
        if more := set(there) - here:
            wrong.append(f"team {team['name']}: {len(more)} members are there only")
    return wrong


def of_keys(world):
    found = {row["token"]: row for row in pages(
        world, "/key/list?return_full_object=true&include_team_keys=true", "keys", "size")}
    rows = world.rows(
        """
        select k.id, k.user_id, k.team_id, k.litellm_alias, k.max_budget::float8, k.tpm_limit, k.rpm_limit, k.sync_status,
            h.key_hash, h.role, extract(epoch from k.expires_at) as expires_at, k.is_active and u.is_active as is_wanted,
            array(select m.model_id from api_key_models m join subscriptions s
                on s.user_id = k.user_id and s.model_id = m.model_id and s.status = 'active'
                where m.api_key_id = k.id order by 1) as models
        from api_keys k join users u on u.id = k.user_id join api_key_hashes h on h.api_key_id = k.id
        """)
    wrong = []
    for row in rows:
        what, there = f"key {row['litellm_alias']} ({row['role']})", found.pop(row["key_hash"], None)
        works = row["is_wanted"] and row["models"] and row["role"] == "current"
        if there is None:
            if works:
                wrong.append(f"{what}: not in LiteLLM")
            continue
        if owner(there, "db_key_id") != row["id"]:
            wrong.append(f"{what}: marked for {owner(there, 'db_key_id')}")
        if bool(there.get("blocked")) == bool(works):
            wrong.append(f"{what}: {'blocked' if works else 'not blocked'} in LiteLLM")
        if not there["models"]:
            wrong.append(f"{what}: allowed every model")
        if works:
            wrong += working(what, row, there)
    return wrong + [f"key {row['key_alias']}: ours in LiteLLM, not here"
                    for row in found.values() if owner(row, "db_key_id")]


def working(what, row, there):
    wrong = compare(what, {
        "key_alias": row["litellm_alias"], "user_id": row["user_id"], "team_id": row["team_id"],
        "max_budget": row["max_budget"], "tpm_limit": row["tpm_limit"], "rpm_limit": row["rpm_limit"],
    }, there)
    if sorted(there["models"]) != sorted(row["models"]):
        wrong.append(f"{what}: models {there['models']} instead of {row['models']}")
    if row["sync_status"] != "synced":
        wrong.append(f"{what}: {row['sync_status']} here")
    expires = there.get("expires") and datetime.datetime.fromisoformat(there["expires"]).timestamp()
    if (expires is None) != (row["expires_at"] is None) or expires and abs(expires - row["expires_at"]) > EXPIRY_TOLERANCE:
        wrong.append(f"{what}: expires {there.get('expires')}")
    return wrong


def of_models(world):
    found = {}
    for row in world.litellm.ask("GET", "/model/info")["data"]:
        found.setdefault(row["model_name"], []).append(row)
    here = {row["id"] for row in world.rows("select id from models where availability = 'available'")}
    wrong = [f"model {name}: not in LiteLLM" for name in here - found.keys()]
    wrong += [f"model {name}: in LiteLLM only" for name in found.keys() - here]
    return wrong + [f"model {name}: {len(rows)} deployments" for name, rows in found.items() if len(rows) > 1]
