"""A stream of events that breaks off, and an export that is followed: taken up again, but not for ever."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from search_spaces.errors import MissingError, ServiceError
from service.client.remote_service import Patience, RemoteService
from tests.scripted_server import Asked, Reply, ScriptedServer, closes, events, problem, says

Scripted = Callable[..., ScriptedServer]
Connect = Callable[..., RemoteService]

AWAY = problem(503, "database", "The database must answer, but does not.")


def data(service: RemoteService, n: int) -> list[Any]:
    return [event.json() for event in islice(service.events("any"), n)]


def last_ids(server: ScriptedServer) -> list[str | None]:
    return [headers.get("Last-Event-ID") for _, headers in server.requests]


def test_a_stream_that_ends_goes_on_after_its_last_event(scripted: Scripted, connect: Connect) -> None:
    server = scripted(events(("a", "search", 1), ("b", "points", 2)), events(("c", "points", 3)), closes)
    assert data(connect(server.url), 3) == [1, 2, 3]
    assert last_ids(server) == [None, "b"]


def test_a_service_that_starts_again_is_waited_for(scripted: Scripted, connect: Connect) -> None:
    server = scripted(events(("a", "search", 1)), closes, AWAY, events(("b", "search", 2)))
    assert data(connect(server.url), 2) == [1, 2]
    assert last_ids(server) == [None, "a", "a", "a"]


def test_an_event_that_breaks_off_is_not_told(scripted: Scripted, connect: Connect) -> None:
    def half(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("Content-Type", "text/event-stream")
        asked.end_headers()
        asked.wfile.write(b'id: a\nevent: search\ndata: 1\n\nid: b\nevent: search\ndata: {"na')

    server = scripted(half, events(("b", "search", 2)))
    assert data(connect(server.url), 2) == [1, 2]
    assert last_ids(server) == [None, "a"]


@pytest.mark.parametrize("reply", [AWAY, closes, events()], ids=["503", "cut", "empty"])
def test_patience_ends(scripted: Scripted, connect: Connect, reply: Reply) -> None:
    server = scripted(events(("a", "search", 1)), reply)
    stream = connect(server.url).events("any")
    assert next(stream).json() == 1
    with pytest.raises(ServiceError, match=r"must stay reachable, but was lost.*goes on there"):
        next(stream)
    assert len(server.requests) == 4  # the first, and three in a row that tell nothing


def test_what_is_wrong_for_good_is_not_tried_again(scripted: Scripted, connect: Connect) -> None:
    server = scripted(problem(404, "missing", "There is none named 'any'."))
    with pytest.raises(MissingError, match="none named"):
        next(connect(server.url).events("any"))
    assert len(server.requests) == 1


def test_a_page_is_no_stream(scripted: Scripted, connect: Connect) -> None:
    with pytest.raises(ServiceError, match="what answers there is another: status 200 and text/html"):
        next(connect(scripted(says(200, "text/html", "<p>")).url).events("any"))


def test_waits_grow_to_a_minute_in_all() -> None:
    patience = Patience()
    waits = [patience.wait_s(n) for n in range(1, patience.n_attempts)]
    assert waits == sorted(waits)
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert max(waits) == 10.0
    assert 30 < sum(waits) < 60
