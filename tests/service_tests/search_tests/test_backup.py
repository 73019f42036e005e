"""A dump of a running search, restored into another database, where the same search goes on."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from optuna.trial import FrozenTrial, TrialState

from search_spaces.errors import DatabaseError
from service.database.connection import connect, plain_url
from service.database.dump import dump_database, restore_database
from service.search import PreparedSearch
from service.search.durable_session import DurableSession
from service.search.session import open_session

N_EVALUATIONS = 60


@pytest.fixture(scope="module")
def empty_url(database_url: str) -> Iterator[str]:
    """The URL of another database."""
    name = f"restored_{uuid.uuid4().hex}"
    with psycopg.connect(plain_url(database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield database_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def described(trials: list[FrozenTrial]) -> dict[int, Any]:
    return {trial.number: (trial.params, trial.values, trial.user_attrs) for trial in trials}


def test_a_dump_of_a_running_search_goes_on_elsewhere(
    fresh_database_url: str,
    empty_url: str,
    tmp_path: Path,
    prepare: Callable[..., PreparedSearch],
    make_pool: Callable[..., Any],
) -> None:
    prepared = prepare(search={"evaluations": N_EVALUATIONS, "sampler": "random"})
    under_way, dumped = threading.Event(), tmp_path / "studies.dump"

    def progress(shown: Any) -> None:
        if shown.n_finished >= 10:
            under_way.set()
        time.sleep(0.02)

    def search() -> None:
        with DurableSession(prepared, fresh_database_url, make_pool(4)) as running:
            running.run(progress)

    thread = threading.Thread(target=search)
    thread.start()
    under_way.wait(60)
    dump_database(fresh_database_url, dumped)
    assert thread.is_alive()
    assert {path.name for path in tmp_path.glob("*dump*")} == {dumped.name}
    restore_database(empty_url, dumped)
    with psycopg.connect(plain_url(empty_url)) as connection:
        copied: dict[str, int] = dict(
            connection.execute("SELECT state::text, count(*) FROM trials GROUP BY 1").fetchall()
        )
    assert 10 <= copied["COMPLETE"] < N_EVALUATIONS
    assert copied["RUNNING"] >= 1
    with open_session(prepared, empty_url) as session:
        trials = session.study._study.get_trials()
        finished = described([trial for trial in trials if trial.state.is_finished()])
        assert len(finished) == copied["COMPLETE"]
        # Those that ran were taken up at once, though their leases have not expired.
        assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.WAITING}
        pool = make_pool(2)
        session.run(lambda _: None, pool)
        after = described(session.study._study.get_trials())
    thread.join()
    assert finished.items() <= after.items()
    assert list(after) == list(range(N_EVALUATIONS))
    assert sorted(pool.submitted[: N_EVALUATIONS - len(finished)]) == sorted(after.keys() - finished.keys())
    with pytest.raises(DatabaseError, match=r"must be restored into an empty database, but .* holds studies"):
        restore_database(empty_url, dumped)


def test_what_pg_restore_says_is_told_without_the_password(database_url: str, tmp_path: Path) -> None:
    url = f"{database_url.rpartition('/')[0]}/postgres"
    (no_dump := tmp_path / "no.dump").write_text("nothing")
    with pytest.raises(DatabaseError, match=r"(?s)`pg_restore` must do its work on .*input file") as caught:
        restore_database(url, no_dump)
    assert url.partition("postgres:")[2].partition("@")[0] not in str(caught.value)


def test_a_dump_that_cannot_be_written_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    connect(database_url).dispose()
    with pytest.raises(DatabaseError, match="`pg_dump` must do its work"):
        dump_database(database_url, tmp_path / "nowhere" / "studies.dump")
    assert list(tmp_path.iterdir()) == []
