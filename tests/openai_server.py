"""An OpenAI-compatible endpoint of the test run's own: real HTTP, and whatever misbehaviour a test asks of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What the model says (None: a reply without content), or a whole response: status, headers, body.
Answer = str | None | tuple[int, dict[str, str], str]
GiveAnswer = Callable[[list[dict[str, str]], dict[str, Any]], Answer]


@dataclass(frozen=True)
class ReceivedRequest:
    """What a client sent; headers by their names in lower case."""

    path: str
    headers: dict[str, str]
    json: dict[str, Any]

    @property
    def prompt(self) -> str:
        """What the user said last."""
        return str(self.json["messages"][-1]["content"])


class OpenAIServer:
    """Answers chat completions by `answer`, which a test replaces; requests are handled in parallel.

    An `answer` that raises `ConnectionError` closes the connection without a word.

    Attributes:
        url: of the endpoint, up to `/v1`.
        requests: what came, in the order of arrival.
        answer: messages and the request's JSON in, an `Answer` out.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[ReceivedRequest] = []
        self.answer: GiveAnswer = lambda messages, request: "an answer"
        self.stopped = threading.Event()

    def hang(self) -> Answer:
        """For use in an `answer`: nothing is said until the server stops."""
        self.stopped.wait()
        raise ConnectionAbortedError

    @staticmethod
    def failure(status: int, message: str = "out of order", pause_s: float | None = 0.01) -> Answer:
        """For use in an `answer`: an error as endpoints tell it.

        Args:
            status: of HTTP.
            message: in its body.
            pause_s: how long the client shall wait before it tries again; None leaves that to the client.
        """
        headers = {} if pause_s is None else {"Retry-After": str(pause_s)}
        return status, headers, json.dumps({"error": {"message": message, "type": "test"}})

    def respond(self, request: ReceivedRequest) -> tuple[int, dict[str, str], str]:
        """Status, headers and body."""
        self.requests.append(request)
        answer = self.answer(request.json["messages"], request.json)
        return answer if isinstance(answer, tuple) else (200, {}, json.dumps(_completion(request, answer)))


@contextmanager
def running_openai_server() -> Iterator[OpenAIServer]:
    """A server on a free port of this machine, as long as the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listener:
        listener.daemon_threads = True
        server = OpenAIServer(f"http://127.0.0.1:{listener.server_port}/v1")
        listener.openai_server = server  # type: ignore[attr-defined]
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.stopped.set()
            listener.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept and used again
    # Without these a response goes out in several packets, and waits 40 ms for the first to be acknowledged.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        server: OpenAIServer = self.server.openai_server  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self._send(*server.respond(ReceivedRequest(self.path, headers, json.loads(body))))
        except ConnectionError:  # asked for by a test, or the client waits no longer
            self.close_connection = True

    def _send(self, status: int, headers: dict[str, str], body: str) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the standard error of a test run is for its failures."""


def _completion(request: ReceivedRequest, content: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": request.json["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
