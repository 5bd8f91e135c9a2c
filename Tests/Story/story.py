"""A story on a real LiteLLM, compressed in time. Run by ops/story, which breaks things meanwhile.

People sign up, subscribe, are approved and denied, make keys, chat, run over budget; models are restricted and deleted; keys
rotate, expire and are revoked; people leave. At the end both sides agree object by object, and the use to the cent. Then
somebody changes LiteLLM by hand, which is found, reported, and set right.
"""

import argparse
import datetime

import agreement
import drift
import usage
from server import Refused
from world import Failure, World, end

# The models, and what a token of the dear one costs.
OPEN, STRICT, GATED, DOOMED, DEAR = "open", "strict", "gated", "doomed", "dear"
PRICES = {DEAR: (0.001, 0.002)}
# What a key with little money may spend: two chats with the dear model.
LITTLE = 0.09
# How long the brief keys live, in seconds.
BRIEF = 150


class Person:
    def __init__(self, number, token):
        self.number, self.token = number, token
        self.subscriptions, self.keys = {}, {}


def sign_up(world):
    world.say(f"{world.users} people sign up, while LiteLLM restarts")
    world.wish("restart-litellm")
    people = world.each(range(world.users), lambda number: Person(number, world.sign_in(f"{world.tag}-{number}")))
    for person in people:
        person.id = world.api.ask("GET", "/api/v1/auth/me", token=person.token)["id"]
    world.wait_for_wishes()
    world.settle()
    return people


def make_models(world):
    world.say("an administrator makes five models")
    names = {kind: f"{world.tag}-{kind}" for kind in (OPEN, STRICT, GATED, DOOMED, DEAR)}
    for kind, name in names.items():
        prompt, completion = PRICES.get(kind, (0.000001, 0.000002))
        world.api.ask("POST", "/api/v1/admin/models", {
            "model_name": name, "backend_model_name": name, "api_base": world.provider.url, "api_key": "sk-story",
            "input_cost_per_token": prompt, "output_cost_per_token": completion, "tpm": 10_000_000, "rpm": 100_000,
            "max_tokens": 4096, "supports_vision": False, "supports_function_calling": False,
            "supports_parallel_function_calling": False, "supports_tool_choice": False,
            "restrictedAccess": kind == GATED,
        }, token=world.admin)
    world.settle()
    listed = {model["id"] for model in world.api.ask("GET", "/api/v1/models?limit=100", token=world.admin)["data"]
              if model["isActive"]}
    world.expect(listed.issuperset(names.values()), f"models are missing: {set(names.values()) - listed}")
    return names


def subscribe(world, people, models):
    world.say("they subscribe; every other one asks for the model that needs an approval")

    def subscribe_one(person):
        for kind in (OPEN, STRICT, DOOMED, *([GATED] if person.number % 2 == 0 else []), *([DEAR] if poor(person) else [])):
            # Somebody clicks twice, or the answer was lost: there is one subscription (409).
            answer = world.api.ask("POST", "/api/v1/subscriptions", {"modelId": models[kind]}, person.token)
            person.subscriptions[kind] = answer["id"]
            wanted = "pending" if kind == GATED else "active"
            world.expect(answer["status"] == wanted, f"the subscription to {kind} is {answer['status']}")

    world.each(people, subscribe_one)
    decide(world, "approve", [p.subscriptions[GATED] for p in people if p.number % 4 == 0])
    decide(world, "deny", [p.subscriptions[GATED] for p in people if p.number % 4 == 2])


def decide(world, decision, subscriptions):
    world.say(f"   {len(subscriptions)} subscriptions: {decision}")
    for start in range(0, len(subscriptions), 50):
        part = subscriptions[start:start + 50]
        body = {"subscriptionIds": part, "reason": "as the story goes"}
        answer = world.api.ask("POST", f"/api/v1/admin/subscriptions/{decision}", body, world.admin)
        world.expect(not answer.get("errors"), f"{decision}: {answer.get('errors')}")


def poor(person):
    return person.number % 5 == 0


def make_keys(world, people, models):
    world.say("they make keys, while LiteLLM's database restarts")
    world.wish("restart-litellm-database")

    def make(person, name, kinds, **limits):
        body = {"name": name, "modelIds": [models[kind] for kind in kinds], **limits}
        request = f"{world.tag}-{person.number}-{name}"
        key = world.api.ask("POST", "/api/v1/api-keys", body, person.token, key=request)
        if person.number % 7 == 0:
            again = world.api.ask("POST", "/api/v1/api-keys", body, person.token, key=request)
            world.expect(again["id"] == key["id"], "a repeated request made a second key")
        person.keys[name] = {"id": key["id"], "secret": key["key"]}

    def make_all(person):
        gated = [GATED] if person.number % 4 == 0 else []
        make(person, "main", [OPEN, STRICT, DOOMED, *gated])
        if poor(person):
            make(person, "poor", [DEAR], maxBudget=LITTLE)
        if person.number % 10 == 1:
            expiry = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=BRIEF)
            make(person, "brief", [OPEN], expiresAt=expiry.isoformat(timespec="seconds").replace("+00:00", "Z"))
        if person.number % 20 == 3:
            make(person, "lone", [DOOMED])

    world.each(people, make_all)
    world.wait_for_wishes()
    world.settle()
    count = world.rows("select count(*) from api_keys where sync_status = 'synced'")[0]["count"]
    made = sum(len(person.keys) for person in people)
    world.expect(count == made, f"{count} keys are synced of {made}")
    world.say(f"   {made} keys")


def chat(world, people, models):
    world.say("they chat, while LiteLLM restarts; those with little money run over budget")
    world.wish("restart-litellm-again")

    def chat_one(person):
        for kind in (OPEN, STRICT, OPEN):
            answers(world, person.keys["main"]["secret"], models[kind], 200)
        if "poor" in person.keys:
            answers(world, person.keys["poor"]["secret"], models[DEAR], 422)
        if person.number % 4 == 0:
            answers(world, person.keys["main"]["secret"], models[GATED], 200)
        if person.number % 4 == 2:
            answers(world, person.keys["main"]["secret"], models[GATED], 403)

    world.each(people, chat_one)
    world.wait_for_wishes()


def answers(world, secret, model, status):
    """Chats until LiteLLM answers so: it may be away, or add up later."""
    world.eventually(f"{model} answers {status}", lambda: world.chat(secret, model) == status, 180)


def raise_budgets(world, people, models):
    world.say("half of them get more money, and chat again")
    lucky = [person for person in people if "poor" in person.keys and person.number % 2 == 0]
    world.each(lucky, lambda p: world.api.ask(
        "PATCH", f"/api/v1/api-keys/{p.keys['poor']['id']}", {"maxBudget": 10 * LITTLE}, p.token))
    world.each(lucky, lambda p: answers(world, p.keys["poor"]["secret"], models[DEAR], 200))


def restrict(world, people, models):
    world.say("one model is restricted and one deleted, while our own database restarts")
    world.wish("restart-database")
    world.api.ask("PUT", f"/api/v1/admin/models/{models[STRICT]}", {"restrictedAccess": True}, world.admin)
    world.api.ask("DELETE", f"/api/v1/admin/models/{models[DOOMED]}", token=world.admin)
    world.wait_for_wishes()
    world.settle()
    for person in people:
        answers(world, person.keys["main"]["secret"], models[STRICT], 403)
    for person in (p for p in people if "lone" in p.keys):
        answers(world, person.keys["lone"]["secret"], models[DOOMED], 401)
    decide(world, "approve", [p.subscriptions[STRICT] for p in people if p.number % 2 == 1])
    world.settle()
    for person in people:
        answers(world, person.keys["main"]["secret"], models[STRICT], 200 if person.number % 2 else 403)


def change_keys(world, people, models):
    world.say("keys rotate, are revoked and expire; people leave")
    rotating = [p for p in people if p.number % 8 == 1]
    revoking = [p for p in people if p.number % 8 == 3]
    leaving = [p for p in people if p.number % 40 == 5]
    olds = {}

    def rotate(person):
        key = person.keys["main"]
        olds[person.number] = key["secret"]
        answer = world.api.ask("POST", f"/api/v1/api-keys/{key['id']}/rotate", {"gracePeriodSeconds": 5}, person.token)
        key["secret"] = answer["key"]

    world.each(rotating, rotate)
    world.each(revoking, lambda p: world.api.ask(
        "DELETE", f"/api/v1/api-keys/{p.keys['main']['id']}", token=p.token, accept=(404,)))
    world.each(leaving, lambda p: world.api.ask(
        "DELETE", f"/api/v1/admin/users/{p.id}", token=world.admin, accept=(409,)))
    for person in rotating:
        answers(world, person.keys["main"]["secret"], models[OPEN], 200)
        answers(world, olds[person.number], models[OPEN], 401)
    for person in (*revoking, *leaving):
        answers(world, person.keys["main"]["secret"], models[OPEN], 401)
    for person in (p for p in people if "brief" in p.keys):
        answers(world, person.keys["brief"]["secret"], models[OPEN], 401)
    world.api.ask("POST", "/api/v1/api-keys/admin/cleanup-expired", token=world.admin)


def settle(world):
    world.say("nothing is broken any more; what was asked for comes true")
    (world.wishes / ".quiet").touch()
    world.settle()
    dead = world.rows(
        "select k.name, count(*), min(h.id) as example from job_history h join job_kinds k on k.id = h.kind_id "
        "where h.outcome = 11 group by 1")
    world.expect(not dead, f"jobs failed for good: {dead}")


def compare(world):
    world.say("both sides are compared, object by object")
    wrong = agreement.disagreements(world)
    world.say("and the use, to the cent")
    uses, total = usage.disagreements(world)
    for line in [*wrong, *uses][:40]:
        print(f"  differs: {line}", flush=True)
    world.expect(not wrong and not uses, f"{len(wrong)} objects and {len(uses)} figures differ")
    return total


def report(world, total):
    counts = world.rows(
        """
        select (select count(*) from users where oauth_provider <> 'system') as users,
            (select count(*) from api_keys) as keys, (select count(*) from api_keys where not is_active) as revoked,
            (select count(*) from subscriptions) as subscriptions,
            (select count(*) from job_history) as jobs, (select sum(attempt) from job_history) as attempts
        """)[0]
    answered = sum(world.provider.answered.values())
    print(f"agreed: {counts['users']} users, {counts['keys']} keys ({counts['revoked']} of them revoked), "
          f"{counts['subscriptions']} subscriptions, {total['requests']} requests, {total['spend']:.6f} spent; "
          f"the provider answered {answered}")
    print(f"jobs: {counts['jobs']}; the API could not answer at once: {dict(world.api.failures) or 'never'}")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--api", required=True)
    options.add_argument("--litellm", required=True)
    options.add_argument("--users", type=int, required=True)
    options.add_argument("--wishes", required=True, help="a directory: what is to be broken, and .quiet for no more")
    world = World(options.parse_args())
    models = make_models(world)
    people = sign_up(world)
    subscribe(world, people, models)
    make_keys(world, people, models)
    chat(world, people, models)
    raise_budgets(world, people, models)
    restrict(world, people, models)
    change_keys(world, people, models)
    settle(world)
    total = compare(world)
    drift.story(world, models)
    report(world, total)


if __name__ == "__main__":
    try:
        main()
    except (Failure, Refused) as error:
        end(error)
