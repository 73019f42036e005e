"""The loop over a real study, with workers that only look at the coefficients."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from search_spaces.errors import PoolError
from service.database.round_trips import Answer, RoundTrips, Statement
from service.pareto import hypervolume
from service.samplers import SAMPLERS
from service.search import PreparedSearch, SearchLoop, SearchProgress
from service.search.session import SearchSession, open_session
from service.studies import FinishedTrial, load_study, reference_point
from workers.evaluation import Evaluation, FailureReason
from workers.worker_pools import WorkerPool

Prepare = Callable[..., PreparedSearch]
MakePool = Callable[..., Any]


@pytest.fixture
def session(database: str, prepare: Prepare) -> Iterator[SearchSession]:
    """Over 24 evaluations, the landmarks among them."""
    with open_session(prepare(search={"evaluations": 24, "sampler": "nsga2"})) as session:
        yield session


def run(session: SearchSession, pool: WorkerPool) -> list[SearchProgress]:
    """Every progress that was shown."""
    shown: list[SearchProgress] = []
    SearchLoop(session.prepared, session.study, pool, shown.append).run()
    return shown


def finished(session: SearchSession) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, t.values, t.landmark) for t in session.study.finished_trials()]


@pytest.mark.parametrize("n_workers", [1, 5, 40])
def test_the_budget_is_exact(n_workers: int, session: SearchSession, make_pool: MakePool) -> None:
    pool = make_pool(n_workers)
    run(session, pool)
    assert sorted(pool.submitted) == [trial.number for trial in session.study.finished_trials()] == list(range(24))


def test_landmarks_come_first(session: SearchSession, make_pool: MakePool) -> None:
    run(session, make_pool(3))
    landmarks = session.prepared.encoded_landmarks
    trials = session.study.finished_trials()[: len(landmarks)]
    assert {trial.landmark: trial.params for trial in trials} == landmarks


@pytest.mark.parametrize("n_presses", [1, 3])
def test_ctrl_c_does_not_part_the_driver_from_its_study(
    n_presses: int, session: SearchSession, make_pool: MakePool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is known to the driver, which says how far the search is, and is counted once when it goes on."""
    send, finish = RoundTrips.send, "DELETE FROM paretomerge_leases"

    def send_interrupted(self: RoundTrips, *statements: Statement) -> Answer:
        answer = send(self, *statements)
        if session.study.n_finished == 4 and any(finish in statement for statement, _ in statements):
            for _ in range(n_presses):
                signal.raise_signal(signal.SIGINT)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(RoundTrips, "send", send_interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(session, make_pool(3))
    assert session.study.n_finished == len(load_study(engine, session.study.identity.name).trials) == 5
    # Pools end with their search: what was under way is asked for again.
    with open_session(session.prepared, predecessors=[session.study.driver]) as successor:
        run(successor, make_pool(3))
        assert [trial.number for trial in successor.study.finished_trials()] == list(range(24))


def test_failures_count_and_say_why(session: SearchSession, make_pool: MakePool) -> None:
    shown = run(session, make_pool(2, fails_at=(0, 7, 23)))
    failed = [trial for trial in session.study.finished_trials() if not trial.succeeded]
    assert [(trial.number, trial.failure) for trial in failed] == [(n, "out_of_memory") for n in (0, 7, 23)]
    assert (shown[-1].n_finished, shown[-1].n_failed) == (24, 3)


def test_a_search_may_fail_from_beginning_to_end(session: SearchSession, make_pool: MakePool) -> None:
    shown = run(session, make_pool(fails_at=tuple(range(24))))
    assert (shown[-1].n_failed, shown[-1].best, shown[-1].hypervolume) == (24, {}, None)


def measured(trials: list[FinishedTrial]) -> float:
    values = np.array([trial.values for trial in trials if trial.succeeded])
    return hypervolume(values, reference_point(trials, 2))


@pytest.mark.parametrize("n_workers", [1, 4])
def test_progress_says_where_the_search_stands(n_workers: int, session: SearchSession, make_pool: MakePool) -> None:
    shown = run(session, make_pool(n_workers, fails_at=(9,)))
    trials = session.study.finished_trials()
    assert [progress.n_finished for progress in shown] == list(range(1, 25))
    assert {progress.budget for progress in shown} == {24}
    assert sorted(progress.last.number for progress in shown if progress.last) == list(range(24))
    succeeded = [trial.values for trial in trials if trial.succeeded]
    assert shown[-1].best == dict(zip(("alignment", "expertise"), map(max, zip(*succeeded, strict=True)), strict=True))
    assert shown[-1].hypervolume == pytest.approx(measured(trials))
    assert shown[-1].evaluations_per_s > 0
    assert shown[-1].left_s == 0


def test_hypervolume_is_measured_once_the_landmarks_are_done(session: SearchSession, make_pool: MakePool) -> None:
    volumes = [progress.hypervolume for progress in run(session, make_pool())]
    n_landmarks = len(session.prepared.encoded_landmarks)
    assert volumes[: n_landmarks - 1] == [None] * (n_landmarks - 1)
    known = [volume for volume in volumes if volume is not None]
    assert len(known) == 24 - n_landmarks + 1
    assert known == sorted(known)


@pytest.mark.parametrize("n_workers", [1, 4])
def test_hypervolume_without_landmarks(
    n_workers: int, database: str, prepare: Prepare, make_pool: MakePool, study_name: str
) -> None:
    prepared = prepare(search={"evaluations": 24, "sampler": "random", "landmarks": False})
    with open_session(prepared) as session:
        shown = run(session, make_pool(n_workers))
        assert shown[-1].hypervolume == pytest.approx(measured(session.study.finished_trials()))


class WithoutWorkers(PreparedSearch):
    def open_pool(self) -> WorkerPool:
        raise PoolError("No worker may start.")


def test_workers_start_only_while_something_is_left(database: str, prepare: Prepare, make_pool: MakePool) -> None:
    prepared = prepare()
    given = (prepared.specification, prepared.headers, prepared.space, prepared.measures)
    with open_session(WithoutWorkers(*given)) as session:
        with pytest.raises(PoolError, match="No worker may start"):
            session.run(lambda _: None)
        session.run(lambda _: None, make_pool())
        assert len(session.run(lambda _: None)) == 8


def test_the_session_tells_its_database(session: SearchSession, database: str) -> None:
    assert session.url == database.replace("+psycopg", "")


@pytest.mark.parametrize("breaks_at", [2, 11])
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_resumed_is_uninterrupted(
    sampler: str, breaks_at: int, database: str, prepare: Prepare, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)
    evaluations = 60 if sampler == "gradient" else 20  # 20 trials either way
    prepared = prepare(search={"evaluations": evaluations, "sampler": sampler, "landmarks": True})
    broken = PreparedSearch(
        prepared.specification.model_copy(update={"name": f"{prepared.specification.name}-broken"}),
        prepared.headers,
        prepared.space,
        prepared.measures,
    )
    with open_session(prepared) as session:
        run(session, make_pool())
        expected = finished(session)
    with pytest.raises(PoolError, match="All workers are gone"), open_session(broken) as session:
        run(session, make_pool(breaks_at=breaks_at))
    with open_session(broken) as session:
        assert session.study.n_finished == breaks_at
        run(session, make_pool())
        assert finished(session) == expected


def test_what_many_workers_had_under_way_is_done_again(
    database: str, prepare: Prepare, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)
    prepared = prepare(search={"evaluations": 20, "sampler": "tpe"})
    with pytest.raises(PoolError, match="All workers are gone"), open_session(prepared) as session:
        run(session, make_pool(6, breaks_at=13))
    with open_session(prepared) as session:
        pool = make_pool(6)
        run(session, pool)
        trials = session.study.finished_trials()
    assert [trial.number for trial in trials] == list(range(20))
    assert len({tuple(trial.params.values()) for trial in trials}) == 20


def test_two_loops_finish_one_budget(database: str, prepare: Prepare, make_pool: MakePool) -> None:
    prepared = prepare(search={"evaluations": 40, "sampler": "random"})
    pools = [make_pool(2), make_pool(3)]
    with open_session(prepared) as one, open_session(prepared) as other:
        loops = [SearchLoop(prepared, s.study, pool) for s, pool in zip((one, other), pools, strict=True)]
        threads = [threading.Thread(target=loop.run) for loop in loops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert finished(one) == finished(other)
    assert sorted(pools[0].submitted + pools[1].submitted) == list(range(40))


def test_two_loops_with_gradients_finish_one_budget(database: str, prepare: Prepare, make_pool: MakePool) -> None:
    prepared = prepare(search={"evaluations": 41, "sampler": "gradient", "gradient_share": 0.5})
    pools = [make_pool(2), make_pool(3)]
    with open_session(prepared) as one, open_session(prepared) as other:
        shown: list[SearchProgress] = []
        loops = [SearchLoop(prepared, s.study, p, shown.append) for s, p in zip((one, other), pools, strict=True)]
        threads = [threading.Thread(target=loop.run) for loop in loops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        costs = [trial.cost for trial in one.study.finished_trials()]
    assert set(costs) == {1.0, 2.0}
    assert max(progress.spent for progress in shown) == sum(costs) == 41
    assert max(progress.n_finished for progress in shown) == len(costs)
    asked = [assignment.gradient for pool in pools for assignment in pool.assignments if assignment.gradient]
    assert sorted(request.seed for request in asked) == [n for n, cost in enumerate(costs) if cost > 1]
    assert {(request.measures, request.share) for request in asked} == {(prepared.objectives, 0.5)}


def test_a_loop_says_what_others_finished_after_its_own_last(
    database: str, prepare: Prepare, make_pool: MakePool
) -> None:
    prepared = prepare(search={"evaluations": 8})
    with open_session(prepared) as one, open_session(prepared) as other:
        trial = other.study.ask()
        assert trial is not None
        shown: list[SearchProgress] = []
        thread = threading.Thread(target=SearchLoop(prepared, one.study, make_pool(), shown.append).run)
        thread.start()
        while len(shown) < 7:
            time.sleep(0.01)
        other.study.tell(trial.number, Evaluation(failure=FailureReason.TIMEOUT, message="too slow"))
        thread.join()
    assert [progress.n_finished for progress in shown] == list(range(1, 9))
    assert shown[-1].is_last


@pytest.mark.parametrize("racing", [False, True])
def test_what_asks_for_gradients_is_not_raced(
    racing: bool, database: str, prepare: Prepare, make_pool: MakePool
) -> None:
    with open_session(prepare(search={"evaluations": 29, "sampler": "gradient", "racing": racing})) as session:
        pool = make_pool()
        run(session, pool)
    with_gradients = [each for each in pool.assignments if each.gradient]
    assert 3 * len(with_gradients) + (len(pool.assignments) - len(with_gradients)) == 29
    assert len(with_gradients) > 1
    assert not any(each.rivals for each in with_gradients)


def test_landmarks_beyond_the_budget_hold_no_hypervolume_back(
    database: str, prepare: Prepare, make_pool: MakePool
) -> None:
    with open_session(prepare(search={"evaluations": 6, "sampler": "gradient"})) as session:
        shown = run(session, make_pool())
    assert [(progress.n_finished, progress.spent, progress.left_s == 0) for progress in shown] == [
        (1, 1, False),
        (2, 2, False),
        (3, 3, False),
        (4, 6, True),  # the first mixture's gradient spends what was left, and two landmarks are never tried
    ]
    assert shown[-1].hypervolume is not None


def test_a_loop_takes_up_what_another_leaves(database: str, prepare: Prepare, make_pool: MakePool) -> None:
    """The last of the budget runs elsewhere when its driver ends."""
    prepared = prepare()
    with open_session(prepared) as survivor:
        with open_session(prepared) as leaving:
            for _ in range(3):
                leaving.study.ask()
            pool = make_pool()
            thread = threading.Thread(target=SearchLoop(prepared, survivor.study, pool).run)
            thread.start()
        thread.join()
        assert sorted(pool.submitted) == [t.number for t in survivor.study.finished_trials()] == list(range(8))
