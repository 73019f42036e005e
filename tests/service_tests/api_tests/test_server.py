"""The application behind a real socket: bodies that are slow or too large, and streams that end with the server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from service.access import body_limits
from service.settings import BODY_TIMEOUT_S, MAX_BODY_BYTES
from tests.uvicorn_server import running

HEAD = "POST /v1/searches HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture
def port(serve: Callable[[FastAPI], str], app: FastAPI) -> int:
    found = urlsplit(serve(app)).port
    assert found is not None
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that waits half a second for a body."""
    given = (body_limits.BodyLimits.__init__.__defaults__ or ())[:-1]
    monkeypatch.setattr(body_limits.BodyLimits.__init__, "__defaults__", (*given, 0.5))


def read(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer after which the connection is closed."""
    connection.settimeout(60)
    content = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


def test_the_service_waits_for_a_body_for_some_seconds() -> None:
    """What `impatient` changes."""
    assert (body_limits.BodyLimits.__init__.__defaults__ or ())[-1] == BODY_TIMEOUT_S


@pytest.mark.parametrize("sent", [b"", b'{"name": "slow"'])
def test_a_body_that_does_not_come(impatient: None, port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: 1000\r\n\r\n" + sent)
        status, problem = read(connection)
    assert (status, problem["type"]) == (408, "urn:paretomerge:problem:too-slow")


def test_a_body_that_comes_byte_by_byte(impatient: None, port: int) -> None:
    """Each byte comes in time; together they do not."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        ended = threading.Event()
        trickle = threading.Thread(target=_trickle, args=(connection, ended))
        trickle.start()
        status, _ = read(connection)
        ended.set()
        trickle.join()
    assert status == 408


def _trickle(connection: socket.socket, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        try:
            connection.sendall(b"1\r\n \r\n")
        except OSError:
            return


def test_a_slow_body_keeps_nobody_waiting(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(HEAD.encode() + b"Content-Length: 1000\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read(other)[0] == 200


@pytest.mark.parametrize("n_bytes", [MAX_BODY_BYTES + 1, 3_000_000])
@pytest.mark.parametrize("header", ["Content-Length: {}", "Transfer-Encoding: chunked"])
def test_who_sends_too_much_reads_why(port: int, n_bytes: int, header: str) -> None:
    """A connection that were closed over unread bytes would be reset before the answer is read."""
    body = b"x" * n_bytes if "Length" in header else b"%x\r\n%s\r\n0\r\n\r\n" % (n_bytes, b"x" * n_bytes)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD.encode() + header.format(n_bytes).encode() + b"\r\n\r\n" + body)
        status, problem = read(connection)
    assert (status, problem["type"]) == (413, "urn:paretomerge:problem:too-large")


def test_streams_end_with_the_server(app: FastAPI, client: Any, launched: str, tmp_path: Path) -> None:
    """At once, and with a last chunk: nothing that a client would take for a fault."""
    with socket.socket() as connection:
        connection.settimeout(60)
        with running(app) as url:
            connection.connect(("127.0.0.1", urlsplit(url).port))
            call = f"GET /v1/searches/{launched}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(call.encode())
            received = b""
            while b"event: points" not in received:
                received += connection.recv(65536)
            started = time.monotonic()
        received += b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.endswith(b"0\r\n\r\n")
    assert time.monotonic() - started < 30  # of what would else go on for ever
