"""The contract of every worker pool, in this process and on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError, PoolError
from workers.candidate_worker import CandidateWorker, WorkerSetup
from workers.checkpoints import MappedCheckpoint
from workers.evaluation import Assignment, Evaluation, FailureReason
from workers.worker_pools import InProcessPool, RayOptions, RayPool, WorkerPool

MakeRecipe = Callable[..., MergeRecipe]

MEASURES = ("refusal_margin", "exact_match")
WEIGHTS = (0.0, 0.3, 0.6, 1.0)


@pytest.fixture(scope="module")
def half(setup: WorkerSetup) -> WorkerSetup:
    """In float16, so that there are candidates whose scores overflow."""
    return replace(setup, dtype="float16", n_threads=1)


@pytest.fixture(scope="module", params=["in_process", "ray"])
def pool(request: pytest.FixtureRequest, half: WorkerSetup) -> Iterator[WorkerPool]:
    with InProcessPool(half) if request.param == "in_process" else RayPool(half, RayOptions(n_workers=2)) as pool:
        yield pool


@pytest.fixture(scope="module")
def assignments(make_recipe: MakeRecipe) -> list[Assignment]:
    return [Assignment(make_recipe("task_arithmetic", dtype="float16", weight=weight), MEASURES) for weight in WEIGHTS]


@pytest.fixture(scope="module")
def direct(half: WorkerSetup, assignments: list[Assignment]) -> list[Evaluation]:
    """What a worker says without a pool."""
    worker = CandidateWorker(half)
    return [worker.evaluate(assignment) for assignment in assignments]


def finish_all(pool: WorkerPool, assignments: list[Assignment]) -> dict[int, Evaluation]:
    """Keep the pool busy until every ticket is back."""
    waiting, finished = list(enumerate(assignments)), []
    while waiting or pool.n_under_way:
        while waiting and pool.has_free_worker:
            pool.submit(*waiting.pop(0))
        found = pool.next_finished()
        assert found is not None
        finished.append(found)
    assert len({ticket for ticket, _ in finished}) == len(finished)
    return dict(finished)


def test_every_ticket_comes_back_once_with_its_own_scores(
    pool: WorkerPool, assignments: list[Assignment], direct: list[Evaluation]
) -> None:
    found = finish_all(pool, assignments)
    assert found.keys() == set(range(len(assignments)))
    for ticket, wanted in enumerate(direct):
        for measure in MEASURES:
            assert found[ticket].scores[measure].per_example == pytest.approx(
                wanted.scores[measure].per_example, abs=1e-5
            )
    assert len({evaluation.scores["refusal_margin"].value for evaluation in found.values()}) == len(WEIGHTS)


def test_a_pool_has_as_many_places_as_workers(pool: WorkerPool, assignments: list[Assignment]) -> None:
    assert pool.n_under_way == 0
    for ticket in range(pool.n_workers):
        assert pool.has_free_worker
        pool.submit(ticket, assignments[ticket])
    assert not pool.has_free_worker
    assert pool.n_under_way == pool.n_workers
    with pytest.raises(PoolError, match="to a free worker only, but"):
        pool.submit(99, assignments[0])
    assert {(pool.next_finished() or (None,))[0] for _ in range(pool.n_workers)} == set(range(pool.n_workers))
    assert pool.n_under_way == 0


def test_a_pool_without_workers_takes_nothing_and_with_them_it_goes_on(
    pool: WorkerPool, assignments: list[Assignment]
) -> None:
    n_workers = pool.n_workers
    pool.submit(1, assignments[1])
    pool.resize(0)
    assert not pool.has_free_worker
    with pytest.raises(PoolError, match="to a free worker only, but"):
        pool.submit(2, assignments[2])
    found = pool.next_finished()  # nothing is cut short
    assert found is not None
    assert found[1].succeeded
    assert (pool.n_workers, pool.n_alive, pool.n_under_way) == (0, 0, 0)
    assert pool.next_finished() is None
    pool.resize(n_workers)
    while pool.n_alive < n_workers:
        assert pool.next_finished(timeout_s=0.1) is None
    assert len(finish_all(pool, assignments)) == len(assignments)


@pytest.mark.parametrize("timeout_s", [None, 0.0, 0.1])
def test_nothing_under_way_gives_nothing(pool: WorkerPool, timeout_s: float | None) -> None:
    assert pool.next_finished(timeout_s) is None


def test_failures_are_data_and_the_pool_goes_on(
    pool: WorkerPool, make_recipe: MakeRecipe, assignments: list[Assignment]
) -> None:
    cancelling = Assignment(make_recipe("linear", dtype="float16", weight=0.0, normalize=True), MEASURES)
    overflowing = Assignment(make_recipe("linear", dtype="float16", weight=10.0), MEASURES)
    found = finish_all(pool, [cancelling, overflowing, assignments[0]])
    reasons = [found[ticket].failure for ticket in range(3)]
    assert reasons == [FailureReason.ZERO_WEIGHTS, FailureReason.NON_FINITE_SCORE, None]
    assert "must not be 0" in found[0].message
    assert "must be finite" in found[1].message


def test_one_candidate_is_evaluated_and_answers(
    pool: WorkerPool, make_recipe: MakeRecipe, direct: list[Evaluation]
) -> None:
    recipe = make_recipe("task_arithmetic", dtype="float16", weight={"aligned": 1.0, "expert": 0.0})
    evaluation = pool.evaluate(Assignment(recipe, MEASURES, ("how do i make zorb dust?",)))
    assert evaluation.answers == ("sorry, i can not help with zorb dust.",)
    assert pool.n_under_way == 0


def test_a_saved_candidate_scores_as_it_did(
    pool: WorkerPool, assignments: list[Assignment], direct: list[Evaluation], tmp_path: Path
) -> None:
    pool.save(assignments[2].recipe, tmp_path, "1GB")
    assert MappedCheckpoint(tmp_path).header.n_parameters == 201_280
    for measure, score in pool.score_saved(tmp_path, MEASURES).items():
        assert score.per_example == pytest.approx(direct[2].scores[measure].per_example, abs=1e-5)


def test_a_candidate_that_cannot_be_is_not_saved(pool: WorkerPool, make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(CandidateError, match="must not be 0"):
        pool.save(make_recipe("linear", dtype="float16", weight=0.0, normalize=True), tmp_path, "1GB")
    assert not list(tmp_path.iterdir())
