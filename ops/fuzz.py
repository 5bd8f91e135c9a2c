"""Malformed requests for ops/fuzz: makes them from a seed, sends them as bytes, and judges the answers."""

import argparse
import concurrent.futures
import json
import random
import re
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request

# An answer, or the end of the connection, has to come within this time: more than the longest limit of the server
# that a request here can meet.
PATIENCE = 45
# Never in a body. Requests hold none of these words, so that an echo of theirs is no leak.
LEAKS = re.compile(
    rb"Sources/|\.swift\b|fatal|postgres|libpq|sqlstate|pg_[a-z]|Swift\.|Optional\(|NIOCore|Hummingbird|/home/|/tmp/"
    rb"|/usr/|relation \"|syntax error|stack trace|insert into|select .{1,80} from|update .{1,80} set ",
    re.IGNORECASE)
# These show names of metrics, and the description of everything.
ROLES = (["admin", "user"], ["user"], ["readonly"])
EXEMPT_FROM_LEAKS = ("/metrics", "/api/v1/health/metrics", "/api/v1/openapi.json", "/docs")
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "G\tT",
           "X" * 300, "BREW", "\x00", "PRI", "M-SEARCH", ""]
TEXTS = ["", " ", "\x00", "a\x00b", "\ud7ff", "\U0001f600" * 40, "x" * 300, "x" * 9000, "' OR 1=1 --", "%", "%zz", "%00",
         "../../etc/passwd", "${jndi:x}", "<script>", "\r\nX-Injected: 1", "null", "-1", "0", "1e999", "NaN", "٣",
         "9" * 40, "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001", "2026-13-45",
         "2026-01-01", "9999-12-31T23:59:59.999999999Z", "-0001-01-01T00:00:00Z", "true", "\u202e", "e\u0301" * 100]
NUMBERS = ["0", "-0", "-1", "1", "1.5", "1e3", "1e308", "1e309", "-1e999", "9223372036854775807", "9223372036854775808",
           "-9223372036854775809", "1" * 400, "0." + "0" * 400 + "1", "1e-999", "1E+2", "01", "+1", ".5", "1.", "0x10",
           "Infinity", "NaN", "-"]
LITERALS = ["null", "true", "false", "[]", "{}", '""', "[[]]", '{"":{}}', '{"a":1,"a":2}']


class Api:
    """What the API says about itself: its operations, the names in them, and sessions."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port or 80)
        document = json.loads(self.fetch(url + "/api/v1/openapi.json"))
        self.document = document
        self.operations = []
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method in ("get", "post", "put", "patch", "delete", "head"):
                    self.operations.append((method.upper(), path, self.queries(operation), self.fields(operation)))
        self.changes = [operation for operation in self.operations if operation[0] in ("POST", "PUT", "PATCH")]
        self.url = url
        self.lock = threading.Lock()
        self.tokens = [self.new_token(roles) for roles in ROLES]

    def fetch(self, url, body=None):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(url, body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.read()

    def new_token(self, roles):
        body = json.dumps({"username": "fuzz-" + roles[0], "roles": roles}).encode()
        return json.loads(self.fetch(self.url + "/api/auth/dev-token", body))["access_token"]

    def renew(self, caller, token):
        """Signs in again when a case has ended the session: the others are to get past the door."""
        with self.lock:
            if self.tokens[caller] == token:
                self.tokens[caller] = self.new_token(ROLES[caller])

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            target = self.document
            for name in value["$ref"].split("/")[1:]:
                target = target[name]
            value = target
        return value

    def queries(self, operation):
        parameters = [self.resolve(parameter) for parameter in operation.get("parameters", [])]
        return [parameter["name"] for parameter in parameters if parameter.get("in") == "query"]

    def fields(self, operation):
        content = self.resolve(operation.get("requestBody", {})).get("content", {})
        schema = self.resolve(content.get("application/json", {}).get("schema", {}))
        return list(schema.get("properties", {}))


class Case:
    """One malformed request, the same for the same seed and number."""

    def __init__(self, api, seed, number):
        self.random = random.Random(f"{seed}:{number}")
        self.api = api
        self.kind = self.random.choice(KINDS)
        operations = api.changes if self.kind in WITH_BODY else api.operations
        self.method, self.path, self.query_names, self.field_names = self.random.choice(operations)
        self.headers = [("host", "fuzz")]
        self.caller = self.token = None
        if self.random.random() < 0.9:
            self.caller = self.random.choices(range(len(ROLES)), [6, 2, 1])[0]
            self.token = api.tokens[self.caller]
            self.headers.append(("authorization", "Bearer " + self.token))
        self.body = b""
        self.version = "HTTP/1.1"
        self.newline = b"\r\n"
        self.target = self.filled_path()
        self.whole = None
        self.closes = True
        getattr(self, self.kind)()

    def bytes(self):
        if self.whole is not None:
            return self.whole
        lines = [f"{self.method} {self.target} {self.version}".encode("utf-8", "surrogatepass")]
        for name, value in self.headers:
            value = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
            lines.append(name.encode("utf-8", "surrogatepass") + b": " + value)
        return self.newline.join(lines) + self.newline * 2 + self.body

    # --- parts

    def filled_path(self, value=None):
        def fill(match):
            chosen = value if value is not None else self.random.choice(
                ["00000000-0000-0000-0000-000000000001", "1", "default", "gpt-4o", "litellm.admin", "model.sync"])
            return chosen
        return re.sub(r"\{[^}]*\}", fill, self.path)

    def with_body(self, body, length=True):
        self.body = body
        self.headers.append(("content-type", "application/json"))
        if length:
            self.headers.append(("content-length", str(len(body))))

    def value(self, depth=0):
        """JSON that means nothing, as text."""
        choice = self.random.randrange(7)
        if choice == 0:
            return json.dumps(self.random.choice(TEXTS), ensure_ascii=self.random.random() < 0.5)
        if choice == 1:
            return self.random.choice(NUMBERS[:16])
        if choice == 2:
            return self.random.choice(NUMBERS)
        if choice == 3 or depth > 3:
            return self.random.choice(LITERALS)
        if choice == 4:
            return "[" + ",".join(self.value(depth + 1) for _ in range(self.random.randrange(5))) + "]"
        return self.object(depth + 1)

    def object(self, depth=0):
        names = self.field_names + ["x", "__proto__", "$ref", ""]
        chosen = self.random.sample(names, self.random.randrange(min(len(names), 6) + 1))
        return "{" + ",".join(f"{json.dumps(name)}:{self.value(depth)}" for name in chosen) + "}"

    # --- kinds

    def wrong_types(self):
        self.with_body(self.object().encode("utf-8", "surrogatepass"))

    def plausible(self):
        members = {name: self.random.choice(TEXTS[:9] + [1, -1, True, None, [], ["gpt-4o"], {}, 2 ** 63, 1.5])
                   for name in self.field_names}
        self.with_body(json.dumps(members).encode("utf-8", "surrogatepass"))

    def broken_json(self):
        body = bytearray(self.object().encode("utf-8", "surrogatepass") or b"{}")
        for _ in range(self.random.randrange(1, 4)):
            position = self.random.randrange(len(body) + 1)
            change = self.random.randrange(3)
            if change == 0:
                del body[position:]
            elif change == 1:
                body[position:position] = self.random.choice([b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b'"', b"{"])
            else:
                body[position:position + 1] = bytes([self.random.randrange(256)])
        self.with_body(bytes(body))

    def deep(self):
        depth = self.random.choice([10, 100, 1000, 10_000, 300_000])
        left, right = self.random.choice([("[", "]"), ('{"a":', "}")])
        self.with_body((left * depth + "1" + right * self.random.choice([0, depth])).encode()[:1_000_000])

    def big(self):
        size = self.random.choice([1024 * 1024 - 2, 1024 * 1024 + 1, 3 * 1024 * 1024])
        body = b'{"x":"' + b"x" * size + b'"}'
        if self.random.random() < 0.5:
            self.with_body(body)
        else:
            self.with_body(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), length=False)
            self.headers.append(("transfer-encoding", "chunked"))

    def short_body(self):
        self.with_body(b'{"a":1', length=False)
        self.headers.append(("content-length", self.random.choice(["7", "100", "1000000", "99999999999"])))

    def no_json(self):
        self.with_body(self.random.choice([b"a=b", b"\x00", b"<x/>", b"[]", b"1", b'"x"', b"null", b"\xef\xbb\xbf{}"]))
        self.headers[-2] = ("content-type", self.random.choice(
            ["text/plain", "application/x-www-form-urlencoded", "application/json", "", "/", "application/json;" * 50]))

    def odd_query(self):
        names = (self.query_names or ["page"]) + ["wait", "page", "x", "a[]", "%", "%00"]
        pairs = []
        for _ in range(self.random.randrange(1, 6)):
            text = self.random.choice(TEXTS + NUMBERS)
            how = self.random.randrange(3)
            value = urllib.parse.quote(text.encode("utf-8", "surrogatepass")) if how else re.sub(r"[\s#\x00]", "", text)
            pairs.append(self.random.choice(names) + ("=" + value if how < 2 else ""))
        self.target += "?" + "&".join(pairs).replace("wait=9", "wait=1")

    def odd_path(self):
        self.target = self.filled_path(self.random.choice(
            ["%", "%0", "%zz", "%00", "%ff", "%c3%28", "%2F", "%2e%2e", "..", ".", "", "//", "a" * 256, "a" * 7000,
             "%F0%9F%98%80" * 30, "9" * 30, "-1", "{id}", "*", ":id", "a;b", "a\\b", "\u00e9", "%25%30%30", "+", "~"]))

    def odd_target(self):
        self.target = self.random.choice(
            ["", "*", "/", "//", "///x", "http://evil/api/v1/config", "http://[::1", "fuzz:80", "?", "?a=b", "#", "/#",
             "/api/v1/config#x", "/" + "a/" * 3000, "/api/v1/" + "x" * 9000, "\\", "/\x7f", "/ x", "/%", "/api//v1///config",
             "/api/v1/../v1/config", "/api/v1/config/", "javascript:alert(1)", "/é", "/\x01", "http://", "//evil/x"])

    def raw_bytes_in_target(self):
        line = f"{self.method} {self.target}".encode() + self.random.choice([b"\x00", b"\xff\xfe", b"\x0b", b"?a=\x00", b"?\xff"])
        self.whole = line + b" HTTP/1.1\r\nhost: a\r\n\r\n"

    def odd_headers(self):
        names = ["authorization", "prefer", "idempotency-key", "x-request-id", "x-correlation-id", "traceparent", "origin",
                 "x-forwarded-for", "accept", "user-agent", "cookie", "content-type", "access-control-request-method",
                 "last-event-id", "expect", "connection", "upgrade", "te", "range", "x" * 200, "a b", "", "é", "a:b"]
        for _ in range(self.random.randrange(1, 6)):
            text = self.random.choice(TEXTS + ["Bearer", "Bearer x.y.z", "Bearer " + "a." * 3000, "wait=1", "wait=-1",
                                               "100-continue", "respond-async, wait=x", "h2c", "close, keep-alive", "\xff"])
            value = text.encode("utf-8", "surrogatepass")
            self.headers.append((self.random.choice(names), self.random.choice([value, value + b"\xff\x00", b" " * 500 + value])))

    def many_headers(self):
        self.headers += [(f"x-{number}", "y") for number in range(self.random.choice([90, 120, 5000]))]

    def large_header(self):
        self.headers.append(("x-large", "y" * self.random.choice([8000, 17_000, 200_000])))

    def odd_method(self):
        self.method = self.random.choice(METHODS)

    def odd_version(self):
        self.version = self.random.choice(["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.10", "HTTP/11", "HTTPS/1.1", "", "http/1.1",
                                           "HTTP/1.1 ", "HTTP/9.9", "ICY"])

    def framing(self):
        """Lengths that can be read in two ways: what stands behind must not be answered as a request of its own."""
        self.method = "POST"
        inner = b"GET /api/v1/config HTTP/1.1\r\nhost: smuggled\r\n\r\n"
        body = b"0\r\n\r\n" + inner
        size = str(len(body))
        self.headers += self.random.choice([
            [("content-length", size), ("transfer-encoding", "chunked")],
            [("transfer-encoding", "chunked"), ("content-length", size)],
            [("content-length", "0"), ("content-length", size)],
            [("content-length", size), ("content-length", "0")],
            [("content-length", f"0, {size}")],
            [("content-length", size), ("transfer-encoding", "xchunked")],
            [("content-length", size), ("transfer-encoding", "chunked, identity")],
            [("content-length", size), ("transfer-encoding", "\x0bchunked")],
            [("content-length ", size)],
            [("content-length", "+" + size)], [("content-length", "-1")], [("content-length", "0x10")],
            [("content-length", size + " 1")], [("content-length", "9" * 25)], [("content-length", "")],
        ])
        self.body = body

    def chunks(self):
        self.with_body(b"", length=False)
        self.headers.append(("transfer-encoding", "chunked"))
        size = self.random.choice([b"-1", b"g", b"", b"0x2", b"fffffffffffffffff", b"7fffffffffffffff", b"2 ", b"2;" + b"e" * 20000,
                                   b"+2", b"2\n", b"00000000000000000002"])
        self.body = size + b"\r\n{}" + self.random.choice([b"\r\n0\r\n\r\n", b"0\r\n\r\n", b"", b"\r\n0\r\nx: y\r\n\r\n", b"\n0\n\n"])

    def lines(self):
        head = f"{self.method} {self.target} HTTP/1.1"
        self.whole = self.random.choice([
            f"{head}\nhost: a\n\n", f"{head}\r\nhost: a\r\nx: a\r\n b\r\n\r\n", f"{head}\r\nhost: a\r\n x: folded\r\n\r\n",
            f"{head}\rhost: a\r\r", f"\r\n\r\n{head}\r\nhost: a\r\n\r\n", f"{head}\r\n\r\n", f"{head}\r\nhost: a\r\nhost: b\r\n\r\n",
            f"{head}\r\nhost: a\r\nx\r\n\r\n", f"{head}\r\n: a\r\n\r\n", f"{head}\r\nhost: a\r\nx : a\r\n\r\n", f"{head}\r\nhost",
            f" {head}\r\nhost: a\r\n\r\n", f"{head}\r\nhost: a\r\nx:\x00\r\n\r\n", f"{head}\r\nhost: a\r\nconnection: close\r\n\r\n" * 3,
        ]).encode()

    def noise(self):
        self.whole = self.random.randbytes(self.random.choice([1, 10, 1000, 50_000]))


WITH_BODY = ["wrong_types", "plausible", "broken_json", "deep", "big", "short_body", "no_json", "chunks"]
KINDS = [name for name, member in vars(Case).items()
         if callable(member) and name not in ("__init__", "bytes", "filled_path", "with_body", "value", "object")]


def exchange(address, data):
    """What comes back until the server closes, or until the answer is there. Raises TimeoutError for silence."""
    received = bytearray()
    until = time.monotonic() + PATIENCE
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already: what was answered can still be read
        while True:
            connection.settimeout(max(until - time.monotonic(), 0.01))
            try:
                part = connection.recv(65536)
            except ConnectionError:
                return bytes(received)
            if not part or len(received) > 20_000_000 or b"text/event-stream" in received[:2000]:
                return bytes(received)
            received += part


def answers(data):
    """(status, headers, body) of each answer in `data`."""
    found = []
    while data.startswith(b"HTTP/"):
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        length = headers.get(b"content-length")
        next_at = rest.find(b"HTTP/1.") if length is None else int(length)
        if length is not None and rest[:7] == b"HTTP/1.":
            next_at = 0  # to a HEAD
        body, data = (rest, b"") if next_at < 0 else (rest[:next_at], rest[next_at:])
        found.append((int(first.split()[1]), headers, body))
    return found


def judge(case, received):
    """What is wrong with the answer, or None."""
    found = answers(received)
    if received and not found:
        return "the answer is no HTTP"
    for status, headers, body in found:
        reasoned = b'"retry"' in body or b'"problem"' in body
        if status >= 500 and not (status in (501, 505) or (status in (503, 504) and reasoned)):
            return f"status {status}"
        if status >= 400 and body and not body.startswith(b"{"):
            return f"status {status} with a body that is no JSON object"
        if b"server" in headers:
            return "a Server header"
        leak = None if any(case.target.startswith(path) for path in EXEMPT_FROM_LEAKS) else LEAKS.search(body)
        if leak:
            return f"the body leaks {leak.group(0)!r}"
    if case.kind == "framing" and len(found) > 1 and b"litellmApiUrl" in found[-1][2]:
        return "a smuggled request was answered"
    return None


def attempt(api, seed, number):
    case = Case(api, seed, number)
    try:
        received = exchange(api.address, case.bytes())
    except TimeoutError:
        return case, b"", f"no answer and no end within {PATIENCE} s"
    except OSError as error:
        return case, b"", f"no connection: {error}"
    if case.token and any(status == 401 for status, _, _ in answers(received)):
        api.renew(case.caller, case.token)
    return case, received, judge(case, received)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", type=int, default=None)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    api = Api(options.url.rstrip("/"))
    print(f"seed {seed}: {options.count} requests to {len(api.operations)} operations", flush=True)
    numbers = range(options.count) if options.only is None else [options.only]
    statuses, kinds, wrong = {}, {}, 0
    with concurrent.futures.ThreadPoolExecutor(options.connections) as pool:
        for number, (case, received, problem) in zip(numbers, pool.map(lambda n: attempt(api, seed, n), numbers)):
            found = answers(received)
            for status in [status for status, _, _ in found] or ["closed"]:
                statuses[status] = statuses.get(status, 0) + 1
            kinds[case.kind] = kinds.get(case.kind, 0) + 1
            if options.only is not None:
                print(f"{case.kind}\n> {case.bytes()[:3000]!r}\n< {received[:3000]!r}")
            if problem:
                wrong += 1
                if wrong <= 50:
                    print(f"case {number} ({case.kind}): {problem}\n  > {case.bytes()[:300]!r}\n  < {received[-400:]!r}", flush=True)
    api.fetch(options.url.rstrip("/") + "/api/v1/health/live")
    print("answers: " + ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items(), key=str)))
    print("kinds: " + ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items())))
    print(f"seed {seed}: {wrong} of {len(numbers)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
