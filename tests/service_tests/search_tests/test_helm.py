"""A running search is steered: stopped, and given more or fewer workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.search import PreparedSearch
from service.search.helm import Course, Helm
from service.search.holdout_verdict import HoldoutVerdict
from service.search.session import SearchSession, open_session
from workers.evaluation import Evaluation
from workers.worker_pools import WorkerPool

MakePool = Callable[..., Any]


@pytest.fixture
def session(database: str, prepare: Callable[..., PreparedSearch]) -> Iterator[SearchSession]:
    with open_session(prepare(search={"evaluations": 24, "sampler": "random"})) as session:
        yield session


@pytest.fixture
def at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The course is looked at whenever it could be."""
    monkeypatch.setattr("service.search.helm.LOOK_EVERY_S", 0.0)


def stop_after(session: SearchSession, n: int, n_workers: int | None = None) -> Callable[[WorkerPool], Course]:
    return lambda _: Course(n_workers, is_stopping=session.study.n_finished >= n)


@pytest.mark.usefixtures("at_every_look")
@pytest.mark.parametrize("n_workers", [1, 4])
def test_a_stopped_search_finishes_what_is_under_way_and_goes_on_later(
    n_workers: int, session: SearchSession, make_pool: MakePool
) -> None:
    pool = make_pool(n_workers)
    stopped = session.run(lambda _: None, pool, stop_after(session, 9))
    assert pool.n_under_way == 0
    assert len(stopped) == len(pool.submitted) == 9 + n_workers - 1
    assert session.study.n_finished < 24
    session.run(lambda _: None, pool)
    assert session.is_finished
    assert pool.submitted[:24] == list(range(24))


@pytest.mark.usefixtures("at_every_look")
def test_a_stopped_verdict_goes_on_later(session: SearchSession, make_pool: MakePool) -> None:
    session.run(lambda _: None, make_pool(), stop_after(session, 24))
    assert session.study.is_finished
    assert HoldoutVerdict(session.prepared, session.study).waiting()
    assert session.study.scores().keys() == set(range(24))
    session.run(lambda _: None, make_pool())
    assert session.is_finished


@pytest.mark.usefixtures("at_every_look")
def test_the_pool_follows_the_course(session: SearchSession, make_pool: MakePool) -> None:
    pool = make_pool(1)
    most: list[int] = []

    def read_course(of: WorkerPool) -> Course:
        most.append(of.n_under_way)
        return Course(n_workers=5 if session.study.n_finished < 12 else 2)

    session.run(lambda _: None, pool, read_course)
    assert max(most) == 5
    assert pool.n_workers == 2
    assert sorted(pool.submitted[:24]) == list(range(24))


@pytest.mark.usefixtures("at_every_look")
def test_one_that_stops_releases_workers_that_have_nothing_to_do(session: SearchSession, make_pool: MakePool) -> None:
    pool = make_pool(4)
    sizes = []

    def read_course(of: WorkerPool) -> Course:
        sizes.append((of.n_workers, of.n_under_way))
        return Course(4, is_stopping=session.study.n_finished >= 9)

    session.run(lambda _: None, pool, read_course)
    assert pool.n_workers == 0
    assert sizes[-4:] == [(3, 2), (2, 1), (1, 0), (0, 0)]


@pytest.mark.usefixtures("at_every_look")
def test_one_that_stops_without_workers_leaves_what_waits_for_one(session: SearchSession, make_pool: MakePool) -> None:
    n_waits = 0

    class LostPool(make_pool):  # type: ignore[misc,valid-type]
        def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
            nonlocal n_waits
            n_waits += not self.n_alive
            assert n_waits < 10, "it waits for ever"
            found: tuple[int, Evaluation] | None = super().next_finished() if self.n_alive else None
            return found

    pool = LostPool(2)
    session.run(lambda _: None, pool, lambda _: Course(0, True) if session.study.n_finished >= 9 else Course(2))
    assert (session.study.n_finished, pool.n_under_way, pool.n_alive) == (9, 1, 0)


def test_a_loop_without_workers_waits(
    session: SearchSession, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.search.helm.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("service.search.search_loop.LOOK_EVERY_S", 0.01)
    n_looks = 0

    def read_course(_: WorkerPool) -> Course:
        nonlocal n_looks
        n_looks += 1
        return Course(n_workers=0 if n_looks < 10 else 1)

    pool = make_pool(0)
    assert len(session.run(lambda _: None, pool, read_course)) == 24
    assert n_looks >= 10


def test_a_course_is_looked_at_while_an_evaluation_takes_long(
    session: SearchSession, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.search.helm.LOOK_EVERY_S", 0.001)
    looks: list[int] = []

    class SlowPool(make_pool):  # type: ignore[misc,valid-type]
        def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
            assert timeout_s is not None
            assert timeout_s <= 1.0
            found: tuple[int, Evaluation] | None = super().next_finished() if len(looks) > 5 else None
            return found

    def read_course(of: WorkerPool) -> Course:
        looks.append(of.n_under_way)
        return Course()

    session.run(lambda _: None, SlowPool(1), read_course)
    assert looks[1:6] == [1] * 5


def test_without_a_course_nothing_is_steered(make_pool: MakePool) -> None:
    pool = make_pool(3)
    assert not Helm(pool).is_stopping()
    assert pool.n_workers == 3


def test_the_course_is_looked_at_once_per_second(make_pool: MakePool) -> None:
    looks = []
    helm = Helm(make_pool(3), lambda pool: looks.append(pool) or Course(is_stopping=True))  # type: ignore[func-returns-value]
    assert [helm.is_stopping() for _ in range(100)] == [True] * 100
    assert len(looks) == 1
