"""A server that says whatever a test wants said."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request, which the script answers."""

    server: ScriptedServer

    def do_GET(self) -> None:
        self.server.requests.append((f"{self.command} {self.path}", dict(self.headers)))
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    do_POST = do_GET  # noqa: N815  the base's name

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def say(self, status: int, kind: str, body: str = "", **headers: str) -> None:
        """Answer whole."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


class ScriptedServer(ThreadingHTTPServer):
    """Gives the script's answers in turn, and the last one for ever; remembers what it was asked, with the headers."""

    daemon_threads = True

    def __init__(self, script: list[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.script = script
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def says(status: int, kind: str, body: str = "", **headers: str) -> Reply:
    """An answer."""
    return lambda asked: asked.say(status, kind, body, **headers)


def problem(status: int, kind: str, detail: str, *errors: tuple[str, str]) -> Reply:
    """An answer in the form of RFC 9457."""
    listed = [{"key": key, "detail": said} for key, said in errors]
    values = {"type": f"urn:paretomerge:problem:{kind}", "title": "", "status": status, "detail": detail}
    return says(status, "application/problem+json", json.dumps(values | {"errors": listed}))


def events(*sent: tuple[str, str, Any]) -> Reply:
    """A stream of events (id, name, data) that ends."""
    text = "".join(f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for number, name, data in sent)
    return says(200, "text/event-stream", text)


def closes(asked: Asked) -> None:
    """No answer at all."""
    asked.close_connection = True


@contextmanager
def running(server: ScriptedServer) -> Iterator[ScriptedServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
