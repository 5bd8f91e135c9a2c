"""A provider of models: answers every chat, and counts what it answered."""

import collections
import http.server
import json
import threading
import uuid

# What each answer is said to have cost.
PROMPT_TOKENS, COMPLETION_TOKENS = 10, 20


class Provider:
    """Serves the chat completions of OpenAI's API on a port of its own."""

    def __init__(self):
        self.answered, self.lock = collections.Counter(), threading.Lock()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802, the name is the base class's
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with provider.lock:
                    provider.answered[body["model"]] += 1
                text = json.dumps(completion(body["model"])).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def completion(model):
    return {
        # LiteLLM logs one request for each of these.
        "id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Once."}}],
        "usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS,
                  "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS},
    }
