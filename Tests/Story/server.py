"""HTTP to servers that come and go."""

import collections
import http.client
import json
import threading
import time
import urllib.parse
import uuid

# How long an answer may take, and how long a request is repeated for.
TIMEOUT = 40
PATIENCE = 180

Answer = collections.namedtuple("Answer", "status body retry_after")


class Refused(Exception):
    """An answer that repeating does not change, or none in time."""


class Server:
    """One server. What it failed at is counted by status; `lost` is no answer."""

    def __init__(self, url, token=None):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.token = parts.hostname, parts.port, token
        self.failures, self.lock = collections.Counter(), threading.Lock()

    def once(self, method, path, body=None, token=None, headers=()):
        """The answer to one request. Raises OSError or HTTPException when there is none."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        sent = {"authorization": f"Bearer {token or self.token}", **dict(headers)}
        if body is not None:
            body, sent["content-type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        is_json = "json" in (answer.getheader("content-type") or "")
        return Answer(answer.status, json.loads(text) if text and is_json else text, answer.getheader("retry-after"))

    def ask(self, method, path, body=None, token=None, accept=(), key=None):
        """The body of a success, or of a status in `accept`, however often it takes.

        Each POST carries an Idempotency-Key, so that a repeated one has one effect.
        """
        headers = {"idempotency-key": key or str(uuid.uuid4())} if method == "POST" else {}
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.attempt(method, path, body, token, headers)
            if answer and (answer.status < 400 or answer.status in accept):
                return answer.body
            passing = answer is None or answer.status >= 500 or answer.retry_after is not None
            if not passing or time.monotonic() > deadline:
                raise Refused(f"{method} {path}: {answer.status if answer else 'no answer'} {answer and answer.body}")
            self.failed("lost" if answer is None else answer.status)
            time.sleep(0.5)

    def attempt(self, method, path, body=None, token=None, headers=()):
        """The answer; None when there is none."""
        try:
            return self.once(method, path, body, token, headers)
        except (OSError, http.client.HTTPException):
            return None

    def failed(self, how):
        with self.lock:
            self.failures[how] += 1
