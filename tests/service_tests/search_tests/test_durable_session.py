"""Searches whose database goes away: they wait for it with their workers, and lose nothing."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.slow_database import SlowDatabase
from search_spaces.errors import DatabaseError, DatabaseLostError, SpecificationError
from service.database.connection import plain_url
from service.database.embedded_postgres import EmbeddedPostgres
from service.search import PreparedSearch
from service.search.durable_session import DurableSession
from service.search.patience import PATIENCE_VARIABLE, Patience, patience_s
from service.search.session import open_session
from service.studies.driver import lock_key

N_EVALUATIONS = 24
Prepare = Callable[..., PreparedSearch]
MakePool = Callable[..., Any]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)
    monkeypatch.setattr("service.database.round_trips._RETRY_FOR_S", 0.2)
    monkeypatch.setattr("service.search.patience._FIRST_PAUSE_S", 0.1)


@pytest.fixture
def proxy(database_url: str) -> Iterator[SlowDatabase]:
    with SlowDatabase(database_url) as proxy:
        yield proxy


@pytest.fixture
def prepared(prepare: Prepare) -> PreparedSearch:
    return prepare(search={"evaluations": N_EVALUATIONS, "sampler": "random"})


def finished_numbers(prepared: PreparedSearch, url: str) -> list[int]:
    with open_session(prepared, url) as session:
        assert session.is_finished
        return [trial.number for trial in session.study.finished_trials()]


def test_an_outage_costs_no_evaluation(
    prepared: PreparedSearch, proxy: SlowDatabase, make_pool: MakePool, database_url: str
) -> None:
    """During the search, and when its front is scored on held-out examples."""
    pool, told = make_pool(3), list[str]()
    outages, verdicts = iter([5, 12]), iter([True])

    def progress(shown: Any) -> None:
        if shown.n_finished in (5, 12) and next(outages, None):
            proxy.go_away()

    def verdict_given() -> None:
        if next(verdicts, False):
            proxy.go_away()

    def outage(message: str) -> None:
        told.append(message)
        proxy.come_back()

    with DurableSession(prepared, proxy.url, pool) as search:
        search.run(progress, on_verdict=verdict_given, on_outage=outage)
    assert finished_numbers(prepared, database_url) == list(range(N_EVALUATIONS))
    assert pool.submitted[:N_EVALUATIONS] == list(range(N_EVALUATIONS))
    verdict = pool.submitted[N_EVALUATIONS:]
    assert len(verdict) == len(set(verdict)) > 0
    assert told[0].startswith("The database does not answer: ")
    assert "Waiting up to 300 s; nothing is lost." in told[0]
    assert told.count("The database answers again.") == 3


def test_a_short_interruption_needs_no_new_session(
    prepared: PreparedSearch, proxy: SlowDatabase, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.database.round_trips._RETRY_FOR_S", 60.0)
    monkeypatch.setattr("service.studies.driver._LOOK_EVERY_S", 600.0)
    told, n_cut = list[str](), list[int]()
    with DurableSession(prepared, proxy.url, make_pool(3)) as search:
        search.run(lambda _: n_cut.append(proxy.cut()), on_outage=told.append)
    assert told == []
    assert sum(n_cut) >= N_EVALUATIONS


def test_patience_ends(prepared: PreparedSearch, proxy: SlowDatabase, make_pool: MakePool, database_url: str) -> None:
    pool, told = make_pool(3), list[str]()
    with (
        pytest.raises(DatabaseError, match=r"must (answer, but does not|stay reachable, but was lost)"),
        DurableSession(prepared, proxy.url, pool, Patience(0.5)) as search,
    ):
        search.run(lambda _: proxy.go_away(600), on_outage=told.append)
    assert "Waiting up to 0 s" in told[0] or "Waiting up to 1 s" in told[0]
    with DurableSession(prepared, database_url, make_pool(3)) as search:
        search.run(lambda _: None)
    assert finished_numbers(prepared, database_url) == list(range(N_EVALUATIONS))


def test_a_database_that_has_never_answered_is_not_waited_for(prepared: PreparedSearch, proxy: SlowDatabase) -> None:
    proxy.go_away(600)
    started = time.monotonic()
    with pytest.raises(DatabaseError, match="must answer, but does not"), DurableSession(prepared, proxy.url):
        pass
    assert time.monotonic() - started < 100  # and not the user's patience


def test_what_the_database_refuses_is_not_waited_for(
    prepared: PreparedSearch, fresh_database_url: str, make_pool: MakePool
) -> None:
    def break_it(_: Any) -> None:
        with psycopg.connect(plain_url(fresh_database_url)) as connection:
            connection.execute("ALTER TABLE paretomerge_scores RENAME TO elsewhere")

    with (
        DurableSession(prepared, fresh_database_url, make_pool(3)) as search,
        pytest.raises(
            DatabaseError, match=r"must take what a search writes, but refuses: .*paretomerge_scores"
        ) as caught,
    ):
        search.run(break_it)
    assert not isinstance(caught.value, DatabaseLostError)


def test_ctrl_c_ends_the_waiting(prepared: PreparedSearch, proxy: SlowDatabase, make_pool: MakePool) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with DurableSession(prepared, proxy.url, make_pool(3)) as search:
        with pytest.raises(KeyboardInterrupt):
            search.run(lambda _: proxy.go_away(600), on_outage=interrupt)
        assert search.is_away
        assert search.session.study.n_finished >= 1  # as it stood


def test_trials_of_a_closed_session_are_taken_up_though_the_server_holds_its_lock(
    prepared: PreparedSearch, database_url: str
) -> None:
    """As after a cut of the network, of which the server learns late."""
    with open_session(prepared, database_url) as session:
        trial, driver = session.study.ask(), session.study.driver
    assert trial is not None
    with psycopg.connect(plain_url(database_url)) as ghost:
        ghost.execute("SELECT pg_advisory_lock(%s)", [lock_key(driver)])
        with open_session(prepared, database_url) as stranger:
            assert stranger.study.ask() != trial
        with open_session(prepared, database_url, predecessors=[driver]) as successor:
            assert successor.study.ask() == trial


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """The user's own server, of one test."""
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-"))
    folder.chmod(0o755)
    monkeypatch.setenv("PARETOMERGE_DATA_DIR", str(folder))
    monkeypatch.setenv("PARETOMERGE_POSTGRES_FSYNC", "off")
    yield (server := EmbeddedPostgres.default())
    server.stop()
    shutil.rmtree(folder)


def test_an_embedded_server_that_was_killed_is_started_again(
    prepared: PreparedSearch, embedded: EmbeddedPostgres, make_pool: MakePool
) -> None:
    pool = make_pool(3)

    def kill(shown: Any) -> None:
        if shown.n_finished == 7:
            postmaster = (embedded.folder / "data" / "postmaster.pid").read_text().split()[0]
            os.kill(int(postmaster), signal.SIGKILL)

    with DurableSession(prepared, pool=pool) as search:
        search.run(kill)
        assert [trial.number for trial in search.session.study.finished_trials()] == list(range(N_EVALUATIONS))
    assert pool.submitted[:N_EVALUATIONS] == list(range(N_EVALUATIONS))


def test_pauses_grow_within_their_bounds_until_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("service.search.patience._FIRST_PAUSE_S", 0.5)
    monkeypatch.setattr("time.monotonic", lambda: now)
    patience = Patience(100.0)
    for _ in range(2):  # a second outage has a patience of its own
        pauses = []
        while pause_s := patience.pause_s():
            pauses.append(pause_s)
            now += pause_s
        assert sum(pauses) == pytest.approx(100.0)
        assert pauses[0] <= 0.5
        assert 5.0 < max(pauses) <= 15.0
        now += 600.0


@pytest.mark.parametrize("given", ["soon", "-1", "nan"])
def test_the_users_patience_is_a_number(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, given)
    with pytest.raises(SpecificationError, match=rf"`{PATIENCE_VARIABLE}` must be a number of seconds.*'{given}'"):
        patience_s()
    monkeypatch.setenv(PATIENCE_VARIABLE, "12.5")
    assert patience_s() == 12.5
