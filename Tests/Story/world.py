"""What the story is told with: the API, LiteLLM, our database, the people, and whoever breaks things."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

from provider import Provider
from server import Server

# People who do something at the same time.
AT_ONCE = 16
# How long everything that was asked for may take to come true.
SETTLING = 420


class Failure(Exception):
    """What did not come about."""


class World:
    def __init__(self, options):
        self.api = Server(options.api)
        self.litellm = Server(options.litellm, os.environ["LITELLM_API_KEY"])
        self.wishes = pathlib.Path(options.wishes)
        self.users = options.users
        self.provider = Provider()
        self.tag = f"story{os.getpid()}"
        self.admin = self.sign_in(f"{self.tag}-admin", ["admin", "user"])
        self.begun = time.monotonic()

    # --- telling ---------------------------------------------------------------------------------

    def say(self, text):
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", flush=True)

    def expect(self, is_so, what):
        if not is_so:
            raise Failure(what)

    def eventually(self, what, question, patience=90):
        """Asks until the answer is true, and gives it."""
        deadline = time.monotonic() + patience
        while True:
            answer = question()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise Failure(f"{what}: not within {patience} s")
            time.sleep(0.5)

    # --- people ----------------------------------------------------------------------------------

    def sign_in(self, name, roles=("user",)):
        body = {"username": name, "roles": list(roles)}
        return self.api.ask("POST", "/api/auth/dev-token", body)["access_token"]

    def each(self, people, act):
        """Everybody does something, some at the same time; the first failure ends it."""
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(act, people))

    def chat(self, secret, model):
        """The status LiteLLM answers a chat with; None when it does not answer."""
        body = {"model": model, "messages": [{"role": "user", "content": "Tell me a story."}]}
        answer = self.litellm.attempt("POST", "/v1/chat/completions", body, secret)
        return answer.status if answer else None

    # --- our database ----------------------------------------------------------------------------

    def rows(self, query):
        """The rows of a query, as objects."""
        text = f"select coalesce(json_agg(r), '[]') from ({query}) r"
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run([os.environ["PSQL"], "-XAtqc", text], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return json.loads(done.stdout)
            if time.monotonic() > deadline:
                raise Failure(f"our database does not answer: {done.stderr}")
            time.sleep(0.5)

    def settle(self):
        """Waits until nothing is under way that is not meant for later."""
        self.eventually("all is done", self.is_settled, SETTLING)

    def is_settled(self):
        # Scheduled (2) jobs are for later: second looks, deletions after the time in which a create may still arrive.
        return not self.unsettled()

    def unsettled(self):
        return self.rows(
            """
            select k.name, j.state, count(*) from jobs j join job_kinds k on k.id = j.kind_id
            where j.state <> 2 and k.name not in ('keys.snapshot', 'usage.fetchDay', 'usage.refresh')
            group by 1, 2
            union all select 'keys pending', 0, count(*) from api_keys where sync_status = 'pending' having count(*) > 0
            union all select 'users pending', 0, count(*) from users where sync_status = 'pending' having count(*) > 0
            """)

    # --- whoever breaks things -------------------------------------------------------------------

    def wish(self, name):
        """Asks for something to be broken, without waiting."""
        self.say(f"   ({name})")
        (self.wishes / name).touch()

    def wait_for_wishes(self):
        """Until everything asked for is broken and mended again."""
        self.eventually("what was broken is mended", lambda: not list(self.wishes.glob("[!.]*")), 180)


def end(error):
    sys.exit(f"failed: {error}")
