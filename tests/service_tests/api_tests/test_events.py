"""Events over a real socket: they arrive, they resume, and nobody watches for nobody."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from service.api import event_stream
from service.api.context import ServiceContext
from service.api.schemas import Points, SearchDetail
from service.registry import ExportRow, JobRegistry, SearchRegistry, SearchState
from service.search import PreparedSearch
from service.search.measures import HOLDOUT
from service.studies import Driver, SearchStudy
from tests.uvicorn_server import running
from workers.evaluation import Score


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    id: str
    data: Any


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with running(app) as url:
        yield url


@pytest.fixture
def context(app: FastAPI) -> ServiceContext:
    context: ServiceContext = app.state.context
    return context


@pytest.fixture
def listen(url: str, launched: str) -> Callable[..., Any]:
    """A context of the launched search's events, as a client takes them one by one; `last` was seen last."""

    @contextmanager
    def listening(last: str | None = None) -> Iterator[Iterator[Event]]:
        headers = {} if last is None else {"Last-Event-ID": last}
        address = f"{url}/v1/searches/{launched}/events"
        with httpx2.stream("GET", address, headers=headers, timeout=30.0) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            yield events_in(response.iter_lines())

    return listening


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield Event("comment", "", line)
        elif line:
            key, _, value = line.partition(": ")
            fields[key] = value
        elif fields:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


def until(events: Iterator[Event], kind: str, has: Callable[[Any], bool] = lambda _: True) -> Event:
    """The next event of that kind that has something; a silence of half a minute is too long."""
    n_silences = 0
    while True:
        event = next(events)
        n_silences += event.kind == "comment"
        assert kind == "comment" or n_silences < 3
        if event.kind == kind and has(event.data):
            return event


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_is_told_at_first_and_then_what_is_new(listen: Callable[..., Any], tell: Callable[..., None]) -> None:
    tell((0.5, 0.5), None)
    with listen() as events:
        first = [next(events) for _ in range(4)]
        assert [event.kind for event in first] == ["search", "points", "front", "exports"]
        detail = SearchDetail.model_validate_json(json.dumps(first[0].data))
        assert (detail.n_finished, detail.n_failed) == (2, 1)
        points = Points.model_validate_json(json.dumps(first[1].data))
        assert points.reset
        assert points.numbers == (0, 1)
        tell((0.9, 0.25))
        new = until(events, "points").data
        assert not new["reset"]
        assert (new["numbers"], new["values"]) == ([2], {"alignment": [0.9], "expertise": [0.25]})


def test_search_that_waits_is_watched_from_its_first_trial_on(
    listen: Callable[..., Any], tell: Callable[..., None]
) -> None:
    with listen() as events:
        assert until(events, "points").data["numbers"] == []
        tell((0.5, 0.5))
        assert until(events, "search", lambda detail: detail["n_finished"] == 1)
        assert until(events, "points").data["numbers"] == [0]


def test_front_and_held_out_scores_are_announced(
    listen: Callable[..., Any], tell: Callable[..., None], prepared: PreparedSearch, engine: Engine
) -> None:
    tell((0.5, 0.5))
    with listen() as events:
        until(events, "exports")
        tell((0.1, 0.1))
        tell((0.6, 0.6))
        until(events, "front")
        with Driver(engine) as driver:
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            study.add_scores(0, {f"alignment{HOLDOUT}": Score(0.5, None, 1, (0.5,))})
        until(events, "front")


def test_state_and_exports_are_announced(listen: Callable[..., Any], launched: str, engine: Engine) -> None:
    searches, exports = SearchRegistry(engine), JobRegistry(engine, ExportRow)
    with listen() as events:
        until(events, "exports")
        searches.start(launched)
        assert until(events, "search").data["state"] == "running"
        row = exports.create(ExportRow(search=launched, trial=0, folder="/nowhere", max_shard_size="5GB"))
        until(events, "exports")
        exports.start(row.id)
        until(events, "exports")
        exports.fail(row.id, "of no use")
        until(events, "exports")
        searches.end(launched, SearchState.STOPPED)
        assert until(events, "search").data["state"] == "stopped"


def test_who_comes_back_is_told_what_came_meanwhile(listen: Callable[..., Any], tell: Callable[..., None]) -> None:
    tell((0.5, 0.5), (0.6, 0.4))
    with listen() as events:
        seen = until(events, "points")
    tell((0.7, 0.3), (0.8, 0.2))
    with listen(last=seen.id) as events:
        found = until(events, "points", lambda points: points["numbers"])
        missed = found.data["numbers"]
        while len(missed) < 2:  # the first look may be older than the second trial
            missed += until(events, "points").data["numbers"]
    assert not found.data["reset"]
    assert missed == [2, 3]


def test_who_has_missed_nothing_is_told_no_points(listen: Callable[..., Any], tell: Callable[..., None]) -> None:
    tell((0.5, 0.5))
    with listen() as events:
        seen = until(events, "points")
    with listen(last=seen.id) as events:
        assert [next(events).kind for _ in range(3)] == ["search", "front", "exports"]


def test_stream_that_breaks_before_the_points_is_told_them(
    listen: Callable[..., Any], tell: Callable[..., None]
) -> None:
    tell((0.1, 0.2), (0.3, 0.4))
    with listen() as events:
        first = next(events)
    assert first.kind == "search"
    with listen(first.id) as events:
        assert next(event for event in events if event.kind == "points").data["numbers"] == [0, 1]


@pytest.mark.parametrize("last", ["", "nonsense", "0123456789ab-1", "-", "-1", "{line}-99", "{line}-x"])
def test_unknown_id_begins_anew(last: str, listen: Callable[..., Any], tell: Callable[..., None]) -> None:
    tell((0.5, 0.5))
    with listen() as events:
        line = until(events, "points").id.partition("-")[0]
    with listen(last=last.replace("{line}", line)) as events:
        again = until(events, "points").data
    assert (again["reset"], again["numbers"]) == (True, [0])


def test_one_watch_for_all_and_none_for_nobody(
    listen: Callable[..., Any], context: ServiceContext, launched: str
) -> None:
    assert context.watches.names == []
    with listen() as first, listen() as second:
        for events in (first, second):
            next(events)
        assert context.watches.names == [launched]
        assert n_watching(launched) == 1
    eventually(lambda: context.watches.names == [] and n_watching(launched) == 0)


def n_watching(name: str) -> int:
    """The tasks of the server's loop, which is another thread's, that look at a search."""
    # By type: `isinstance` asks objects for their class, and some of other libraries warn when they are asked.
    tasks = [found for found in gc.get_objects() if issubclass(type(found), asyncio.Task)]
    return sum(task.get_name() == f"watch-{name}" and not task.done() for task in tasks)


def test_silence_is_broken_by_signs_of_life(monkeypatch: pytest.MonkeyPatch, listen: Callable[..., Any]) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    with listen() as events:
        assert until(events, "comment").data.startswith(":")


def test_slow_client_is_told_the_latest_and_holds_up_nobody(
    url: str, launched: str, listen: Callable[..., Any], tell: Callable[..., None], context: ServiceContext
) -> None:
    """It reads nothing while trials come: what it has missed is one event when it goes on."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as slow, listen() as events:
        slow.sendall(f"GET /v1/searches/{launched}/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        for _ in range(5):
            tell((0.5, 0.5))
        numbers: list[int] = []
        while len(numbers) < 5:
            numbers += until(events, "points").data["numbers"]
        received = b""
        while b'"numbers":' not in received or not all(b"%d" % n in received for n in numbers):
            received += slow.recv(65536)
        assert context.watches.names == [launched]


def test_search_that_is_gone_ends_its_events(listen: Callable[..., Any], launched: str, engine: Engine) -> None:
    with listen() as events:
        until(events, "exports")
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM paretomerge_searches WHERE name = :name"), {"name": launched})
        assert [event for event in events if event.kind != "comment"] == []


def test_streams_end_with_the_server(app: FastAPI, launched: str) -> None:
    ended = threading.Event()

    def watch(url: str) -> None:
        with httpx2.stream("GET", f"{url}/v1/searches/{launched}/events", timeout=30.0) as response:
            for _ in response.iter_lines():
                opened.set()
        ended.set()

    opened = threading.Event()
    with running(app) as url:
        watcher = threading.Thread(target=watch, args=(url,))
        watcher.start()
        assert opened.wait(30)
    assert ended.wait(30)
    watcher.join()
