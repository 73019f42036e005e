"""Races of real candidates of the bundled family, over its own sets."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces import MergeRecipe
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.evaluation import Assignment, Evaluation, FailureReason, Rival
from workers.example_set import of_split, read_examples
from workers.racing import SHARES, shards

MakeRecipe = Callable[..., MergeRecipe]
OBJECTIVES = ("alignment", "expertise")


@pytest.fixture(scope="module")
def worker(models: dict[str, str], family: Path) -> CandidateWorker:
    scorers = {"alignment": ("refusal_margin", "safety.jsonl"), "expertise": ("answer_likelihood", "domain.jsonl")}
    measures = {
        name: Measure(scorer, of_split(read_examples(family / file), "search"))
        for name, (scorer, file) in scorers.items()
    }
    return CandidateWorker(WorkerSetup(models, measures))


@pytest.fixture
def evaluate(worker: CandidateWorker, make_recipe: MakeRecipe) -> Callable[..., Evaluation]:
    """Score task arithmetic of the two experts, against rivals if there are any."""

    def score(aligned: float, expert: float, *rivals: Rival) -> Evaluation:
        recipe = make_recipe("task_arithmetic", weight={"aligned": aligned, "expert": expert})
        return worker.evaluate(Assignment(recipe, OBJECTIVES, rivals=rivals))

    return score


@pytest.fixture
def good(evaluate: Callable[..., Evaluation]) -> Rival:
    return Rival(evaluate(1.4, 0.8).scores)


def test_one_that_is_much_worse_is_stopped(evaluate: Callable[..., Evaluation], good: Rival) -> None:
    whole, stopped = evaluate(0.0, 0.4), evaluate(0.0, 0.4, good)
    assert (whole.share, stopped.share) == (1.0, 1 / 2)
    assert (whole.is_whole, stopped.is_whole) == (True, False)
    for name, score in stopped.scores.items():
        assert (score.n, score.per_example) == (48, ())
        assert score.value < good.scores[name].value
        assert score.standard_error is not None
        assert score.value == pytest.approx(whole.scores[name].value, abs=4 * score.standard_error)


@pytest.mark.parametrize(("aligned", "expert"), [(0.0, 1.0), (1.0, 0.0), (1.4, 0.8), (1.4, 0.6)])
def test_one_that_is_the_best_in_something_is_scored_whole(
    aligned: float, expert: float, evaluate: Callable[..., Evaluation], good: Rival
) -> None:
    whole, raced = evaluate(aligned, expert), evaluate(aligned, expert, good)
    assert raced.is_whole
    for name, score in whole.scores.items():
        # In the set's order, up to how batches of another shape round.
        assert raced.scores[name].per_example == pytest.approx(score.per_example, abs=1e-5)
        assert raced.scores[name].value == pytest.approx(score.value, abs=1e-5)


def test_shards_are_prepared_once(worker: CandidateWorker) -> None:
    scorer = worker.shard_scorer("alignment", 0)
    assert scorer is worker.shard_scorer("alignment", 0)
    assert len(scorer.per_example()) == len(shards(96)[0])


def test_looks_are_the_whole_in_parts(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    whole = Assignment(make_recipe("task_arithmetic", weight=0.4), OBJECTIVES)
    parts = [worker.evaluate(replace(whole, look=look)) for look in range(len(SHARES))]
    assert sum(part.share for part in parts) == 1.0
    for name, score in worker.evaluate(whole).scores.items():
        for part, shard in zip(parts, shards(96), strict=True):
            wanted = [score.per_example[index] for index in shard]
            assert part.scores[name].per_example == pytest.approx(wanted, abs=1e-5)


def test_scores_that_are_not_finite_are_a_failure(
    worker: CandidateWorker, make_recipe: MakeRecipe, good: Rival, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = worker.shard_scorer("expertise", 1)
    monkeypatch.setattr(scorer, "per_example", lambda: [float("nan")] * len(shards(96)[1]))
    recipe = make_recipe("task_arithmetic", weight={"aligned": 1.4, "expert": 0.6})
    evaluation = worker.evaluate(Assignment(recipe, OBJECTIVES, rivals=(good,)))
    assert evaluation.failure is FailureReason.NON_FINITE_SCORE
    assert "'expertise' is nan" in evaluation.message


def test_rivals_travel(make_recipe: MakeRecipe, good: Rival) -> None:
    assignment = Assignment(make_recipe("slerp", t=0.5), OBJECTIVES, rivals=(good,) * 8)
    travelled = pickle.dumps(assignment)
    assert pickle.loads(travelled) == assignment
    # What the bound on rivals rests on: 9 bytes a number, and a recipe.
    assert len(pickle.dumps(Rival(good.scores))) < 9 * 2 * 96 + 500
