"""A driver's lock and leases, as the server sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from service.database.connection import connect
from service.studies import Driver, SearchStudy
from service.studies.driver import lock_key
from workers.evaluation import Evaluation

Query = Callable[..., list[tuple[Any, ...]]]

HOLDERS = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND "
    "(classid::bigint << 32) + objid::bigint = :key"
)


@pytest.fixture
def restless(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """A driver that renews all the time."""
    monkeypatch.setattr("service.studies.driver._RENEW_EVERY_S", 0.0)
    monkeypatch.setattr("service.studies.driver._LOOK_EVERY_S", 0.05)
    with Driver(engine) as driver:
        yield driver


def holders(query: Query, driver: Driver) -> list[int]:
    return [pid for (pid,) in query(HOLDERS, key=lock_key(driver.name))]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def expires_at(query: Query, driver: Driver) -> Any:
    [(moment,)] = query("SELECT expires_at FROM paretomerge_leases WHERE driver = :driver", driver=driver.name)
    return moment


def test_holds_its_lock_until_it_is_closed(engine: Engine, query: Query) -> None:
    with Driver(engine) as driver:
        assert len(holders(query, driver)) == 1
    until(lambda: not holders(query, driver))


def test_drivers_have_names_and_locks_of_their_own(driver: Driver, other_driver: Driver) -> None:
    assert driver.name != other_driver.name
    assert lock_key(driver.name) != lock_key(other_driver.name)
    assert all(0 <= lock_key(one.name) < 2**63 for one in (driver, other_driver))


def test_renews_its_leases(restless: Driver, open_study: Callable[..., SearchStudy], query: Query) -> None:
    open_study(restless).ask()
    before = expires_at(query, restless)
    until(lambda: expires_at(query, restless) > before)


def test_leaves_the_leases_of_others_alone(
    restless: Driver, engine: Engine, open_study: Callable[..., SearchStudy], query: Query
) -> None:
    open_study(restless).ask()
    with Driver(engine) as other:
        open_study(other).ask()
    before, own = expires_at(query, other), expires_at(query, restless)
    until(lambda: expires_at(query, restless) > own)
    assert expires_at(query, other) == before


def test_renews_only_what_is_due(
    engine: Engine, open_study: Callable[..., SearchStudy], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.studies.driver._LOOK_EVERY_S", 0.01)
    with Driver(engine) as driver:
        open_study(driver).ask()
        before = expires_at(query, driver)
        time.sleep(0.2)
        assert expires_at(query, driver) == before


def test_a_trial_has_a_lease_while_it_runs(
    driver: Driver, open_study: Callable[..., SearchStudy], query: Query, evaluation: Callable[[], Evaluation]
) -> None:
    count = "SELECT count(*) FROM paretomerge_leases WHERE driver = :driver"
    study = open_study(driver)
    trial = study.ask()
    assert trial is not None
    assert query(count, driver=driver.name) == [(1,)]
    study.tell(trial.number, evaluation())
    assert query(count, driver=driver.name) == [(0,)]


def test_survives_the_end_of_its_connection(
    restless: Driver, open_study: Callable[..., SearchStudy], query: Query, evaluation: Callable[[], Evaluation]
) -> None:
    study = open_study(restless)
    trial = study.ask()
    assert trial is not None
    [before] = holders(query, restless)
    query("SELECT pg_terminate_backend(:pid)", pid=before)
    until(lambda: holders(query, restless) not in ([], [before]))
    renewed = expires_at(query, restless)
    until(lambda: expires_at(query, restless) > renewed)
    assert study.tell(trial.number, evaluation())


def test_is_not_robbed_while_it_reconnects(
    restless: Driver, other_driver: Driver, open_study: Callable[..., SearchStudy], query: Query
) -> None:
    open_study(restless).ask()
    other = open_study(other_driver)
    query("SELECT pg_terminate_backend(:pid)", pid=holders(query, restless)[0])
    assert other.requeue_orphans() == 0


def test_renews_though_the_server_still_sees_its_old_connection(
    restless: Driver, open_study: Callable[..., SearchStudy], query: Query, database_url: str
) -> None:
    """As after a cut of the network, of which the server learns late."""
    open_study(restless).ask()
    [pid] = holders(query, restless)
    engine = connect(database_url)
    with engine.connect() as ghost:
        ghost.exec_driver_sql(f"SELECT pg_terminate_backend({pid}), pg_advisory_lock({lock_key(restless.name)})")
        before = expires_at(query, restless)
        until(lambda: expires_at(query, restless) > before)
        ghost_pid = ghost.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        assert holders(query, restless) == [ghost_pid]
        ghost.invalidate()
    until(lambda: holders(query, restless) not in ([], [ghost_pid]))
    engine.dispose()
