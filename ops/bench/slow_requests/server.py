"""How requests are sent."""

import collections
import http.client
import json
import sys
import threading
import urllib.parse

PATIENCE = 90

Request = collections.namedtuple("Request", "method path body token")


class Server:
    """One server, over one connection for each thread."""

    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.token = parts.hostname, parts.port, token
        self.local = threading.local()

    def send(self, request):
        """Status, `Location` and body."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        headers = {"authorization": f"Bearer {request.token or self.token}"}
        body = None
        if request.body is not None:
            body, headers["content-type"] = json.dumps(request.body), "application/json"
        connection.request(request.method, request.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("location"), answer.read()

    def ask(self, method, path, body=None, token=None):
        """The body of an answer that is a success."""
        status, _, text = self.send(Request(method, path, body, token))
        if status >= 400:
            sys.exit(f"failed: {method} {path} answered {status} {text[:400]!r}")
        return json.loads(text) if text else None
