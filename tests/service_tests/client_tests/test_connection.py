"""Servers that are not there, lead elsewhere or break off; and where the token goes."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import pytest

from search_spaces.errors import MissingError, ServiceError
from service.client.problem_errors import UnreachableError
from service.client.remote_service import RemoteService
from tests.scripted_server import ScriptedServer, closes, problem, says

Scripted = Callable[..., ScriptedServer]
Connect = Callable[..., RemoteService]

TOKEN = "a-token-that-nobody-may-read"


def test_nothing_listens(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there once it is closed
    with pytest.raises(UnreachableError, match=f"must listen at http://127.0.0.1:{port}, .*paretomerge serve"):
        connect(f"http://127.0.0.1:{port}").search("any")


def test_a_name_that_nobody_knows(connect: Connect) -> None:
    with pytest.raises(UnreachableError, match=r"must listen at http://nowhere.invalid, but none can be reached"):
        connect("http://nowhere.invalid").search("any")


def test_what_does_not_speak_http(scripted: Scripted, connect: Connect) -> None:
    with pytest.raises(UnreachableError, match=r"broke off: .* Is it a paretomerge service"):
        connect(scripted(closes).url).search("any")


def test_a_server_without_tls(scripted: Scripted, connect: Connect) -> None:
    server = scripted(closes)
    with pytest.raises(ServiceError, match=r"must listen at https://127.0.0.1"):
        connect(server.url.replace("http:", "https:")).search("any")


def test_a_silent_server(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.connection._ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"must answer in time, but did not \(ReadTimeout\)"):
            connect(url).search("any")


def test_every_call_shows_the_token(scripted: Scripted, connect: Connect) -> None:
    server = scripted(problem(404, "missing", "There is none."))
    service = connect(server.url, TOKEN)
    for call in (service.search, service.stop, service.resume, service.launch, service.front):
        with pytest.raises(MissingError, match="none"):
            call("any")
    assert [headers["Authorization"] for _, headers in server.requests] == [f"Bearer {TOKEN}"] * 5


def test_no_redirect_is_followed(scripted: Scripted, connect: Connect) -> None:
    other = scripted(says(200, "application/json", "{}"))
    server = scripted(says(307, "text/html", Location=f"{other.url}/v1/searches"))
    with pytest.raises(ServiceError, match=f"leads to {other.url}/v1/searches. Name the right address"):
        connect(server.url, TOKEN).searches()
    assert other.requests == []


def test_no_proxy_is_told(scripted: Scripted, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = scripted(closes), scripted(says(200, "application/json", '{"searches": []}'))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, proxy.url)
    assert connect(server.url, TOKEN).searches().searches == ()
    assert proxy.requests == []


def test_the_token_is_never_logged(
    scripted: Scripted, connect: Connect, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server = scripted(says(200, "application/json", '{"searches": []}'))
    with caplog.at_level(logging.DEBUG):
        connect(server.url, TOKEN).searches()
    assert caplog.text
    assert TOKEN not in caplog.text + "".join(capfd.readouterr())


def test_a_newer_service_may_say_more(scripted: Scripted, connect: Connect) -> None:
    server = scripted(says(200, "application/json", '{"searches": [], "more": 1}'))
    assert connect(server.url).searches().searches == ()


def test_a_path_of_the_server_is_kept(scripted: Scripted, connect: Connect) -> None:
    server = scripted(says(200, "application/json", '{"searches": []}'))
    connect(f"{server.url}/below/").searches()
    assert server.requests[0][0] == "GET /below/v1/searches"


@pytest.mark.parametrize("name", ["../metrics", "", "a/b", "a b", "..", "x?y", "ü"])
def test_what_cannot_be_a_name_is_not_asked_for(scripted: Scripted, connect: Connect, name: str) -> None:
    server = scripted(closes)
    with pytest.raises(MissingError, match="there is none named"):
        connect(server.url).search(name)
    assert server.requests == []
