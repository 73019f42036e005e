"""The driver of a search, with workers that only look at the coefficients, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from search_spaces.errors import DatabaseError
from service.database.connection import connect, plain_url
from service.registry import SearchRegistry, SearchState
from service.search.measures import HOLDOUT
from service.search.session import open_session
from service.specification import load_specification
from service.studies import load_study
from service.supervision import search_driver
from service.supervision.search_driver import SearchDriver, SearchDriverSetup
from workers.evaluation import Evaluation, FailureReason
from workers.worker_pools import WorkerPool

N_EVALUATIONS = 12
MakePool = Callable[..., Any]
Drive = Callable[..., SearchState]


class LivingCluster:
    def answers(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.supervision.driver_actor.ClusterProbe", LivingCluster)
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)
    monkeypatch.setattr("service.search.helm.LOOK_EVERY_S", 0.0)
    for pause in ("_FIRST_PAUSE_S", "_LONGEST_PAUSE_S"):
        monkeypatch.setattr(f"service.search.patience.{pause}", 0.2)


@pytest.fixture
def engine(fresh_database_url: str) -> Any:
    engine = connect(fresh_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def drive(
    engine: Engine,
    fresh_database_url: str,
    study_name: str,
    tmp_path: Path,
    write_specification: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Drive:
    """Drive a search to its end on a pool that is opened by the argument; its state."""

    def run(open_pool: Callable[[], WorkerPool]) -> SearchState:
        monkeypatch.setattr(search_driver, "open_connected_pool", lambda *_, **__: open_pool())
        search = {"evaluations": N_EVALUATIONS, "sampler": "random"}
        registry = SearchRegistry(engine)
        registry.create(load_specification(write_specification(tmp_path, name=study_name, search=search)))
        registry.start(study_name, "the driver")
        registry.allot(study_name, 3)
        SearchDriver(SearchDriverSetup("the driver", fresh_database_url, study_name)).join()
        return SearchState(registry.get(study_name).state)

    return run


def test_an_outage_costs_no_evaluation(drive: Drive, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the one that could not be stored nor those that workers have: each is submitted once."""
    pool, tell = make_pool(3), optuna.Study.tell
    outages = iter([False] * 4 + [True] + [False] * 3 + [True])

    def tell_or_fail(study: optuna.Study, *arguments: Any, **options: Any) -> Any:
        if next(outages, False):
            raise OperationalError("INSERT", {}, Exception("the connection is lost"))
        return tell(study, *arguments, **options)

    monkeypatch.setattr(optuna.Study, "tell", tell_or_fail)
    assert drive(lambda: pool) == SearchState.FINISHED
    assert pool.submitted[:N_EVALUATIONS] == list(range(N_EVALUATIONS))
    verdict = pool.submitted[N_EVALUATIONS:]
    assert len(set(verdict)) == len(verdict)


def test_a_candidate_that_fails_on_held_out_examples_does_not_stop_a_search(drive: Drive, make_pool: MakePool) -> None:
    pool = make_pool(3)
    next_finished = pool.next_finished

    def fail_on_holdout(timeout_s: float | None = None) -> Any:
        found = next_finished(timeout_s)
        if found and any(name.endswith(HOLDOUT) for name in found[1].scores):
            return found[0], Evaluation(failure=FailureReason.OUT_OF_MEMORY, message="too large")
        return found

    pool.next_finished = fail_on_holdout
    assert drive(lambda: pool) == SearchState.FINISHED


def test_a_stopped_search_is_called_stopped(drive: Drive, make_pool: MakePool, engine: Engine, study_name: str) -> None:
    def open_pool() -> WorkerPool:
        SearchRegistry(engine).stop(study_name)
        pool: WorkerPool = make_pool(3)
        return pool

    assert drive(open_pool) == SearchState.STOPPED


def test_scores_on_held_out_examples_are_progress(
    drive: Drive, make_pool: MakePool, engine: Engine, study_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(SearchDriver, "_note_progress", lambda driver, progress=None: told.append(progress))
    drive(lambda: make_pool(3))
    scores = load_study(engine, study_name).scores.values()
    n_verdicts = sum(any(name.endswith(HOLDOUT) for name in of_trial) for of_trial in scores)
    assert n_verdicts > 0
    assert len(told) == N_EVALUATIONS + n_verdicts


def test_a_database_that_takes_no_writes_is_borne_for_a_while(
    drive: Drive, make_pool: MakePool, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_driver, "_PATIENCE_S", 0.5)
    opened: list[Any] = []

    def open_and_note(*given: Any) -> Any:
        opened.append(given)
        return open_session(*given)

    monkeypatch.setattr("service.search.durable_session.open_session", open_and_note)

    def set_read_only(setting: str) -> None:
        name = fresh_database_url.rpartition("/")[2]
        with psycopg.connect(plain_url(fresh_database_url), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}".encode())

    def open_pool() -> WorkerPool:
        set_read_only("on")
        pool: WorkerPool = make_pool(3)
        return pool

    try:
        with pytest.raises(DatabaseError, match=r"must (stay reachable, but was lost|answer, but does not)"):
            drive(open_pool)
    finally:
        set_read_only("off")
    assert len(opened) <= 7  # a pause of 0.1 s or more between them
