"""Evaluations as Tune's results, and back."""

from __future__ import annotations

import pytest
from ray.tune.utils import flatten_dict

from service.ray_tune.reports import evaluation_of, report_of, take_details
from service.ray_tune.shard_scores import ShardScores
from workers.evaluation import Evaluation, FailureReason, Score
from workers.racing import SHARES, shards

OBJECTIVES = ("alignment", "expertise")
SCORES = {"alignment": Score.mean_of([0.25, 0.75, 0.5]), "expertise": Score.mean_of([-1.5])}
GRADIENTS = {"alignment": {"medical": {"layer.0": {"weight": -0.125}}}}


@pytest.mark.parametrize(
    "evaluation",
    [
        Evaluation(SCORES, make_s=0.5, score_s=1.5),
        Evaluation(SCORES, gradients=GRADIENTS),
        Evaluation(SCORES, gradient_failure="out_of_memory"),
        Evaluation(failure=FailureReason.ZERO_WEIGHTS, message="All weights are zero.", make_s=0.5),
    ],
    ids=["plain", "gradients", "lost gradients", "failed"],
)
def test_an_evaluation_comes_back(evaluation: Evaluation) -> None:
    assert evaluation_of(flatten_dict(report_of(evaluation, OBJECTIVES)), OBJECTIVES) == evaluation


def test_details_are_kept_beside() -> None:
    evaluation = Evaluation(SCORES, gradients=GRADIENTS)
    report = report_of(evaluation, OBJECTIVES)
    details = take_details(report)
    assert not {"per_example", "gradients"} & report.keys()
    assert evaluation_of({**flatten_dict(report), **details}, OBJECTIVES) == evaluation


def test_numbers_are_enough() -> None:
    scores = evaluation_of({"alignment": 1, "expertise": 0.5, "pid": 4}, OBJECTIVES).scores
    assert scores == {"alignment": Score(1.0, None, 0, ()), "expertise": Score(0.5, None, 0, ())}


def test_shards_add_up_to_the_set() -> None:
    wanted = {"alignment": [float(i % 7) for i in range(90)], "expertise": [0.5 * i for i in range(20)]}
    scores = ShardScores({name: len(values) for name, values in wanted.items()})
    shares = []
    for look in range(len(SHARES)):
        parts = {name: [values[index] for index in shards(len(values))[look]] for name, values in wanted.items()}
        scores.add(Evaluation({name: Score.mean_of(part) for name, part in parts.items() if part}, score_s=0.5))
        shares.append(scores.share)
        is_whole = evaluation_of(flatten_dict(report_of(scores.evaluation(), OBJECTIVES)), OBJECTIVES).succeeded
        assert is_whole == (look == len(SHARES) - 1)
    assert shares == sorted(set(shares))
    assert scores.evaluation().scores == {name: Score.mean_of(values) for name, values in wanted.items()}
