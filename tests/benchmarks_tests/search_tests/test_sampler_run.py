"""A run in memory: landmarks first, costs counted, gradients stored, and the same run after an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.search.families import BUNDLED, Family, prepared
from benchmarks.search.sampler_run import SamplerRun
from benchmarks.search.trial_records import TrialRecord, append_record, read_records, rewrite_records
from service.studies.trial_gradients import GRADIENTS
from workers.evaluation import Assignment, Evaluation, FailureReason, Score

SEARCH = prepared(Family("tiny", BUNDLED, BUNDLED), "layer")
N_LANDMARKS = len(SEARCH.encoded_landmarks)


def evaluate(assignment: Assignment) -> Evaluation:
    """Each objective wants another mean weight; a gradient is one per group."""
    coefficients = assignment.recipe.coefficients
    weights = [values["weight"] for groups in coefficients.values() for values in groups.values() if "weight" in values]
    mean = sum(weights) / len(weights)
    scores = {
        name: Score.mean_of([-abs(mean - target), -abs(mean - target)])
        for name, target in zip(assignment.measures, (0.2, 0.6), strict=True)
    }
    measures = assignment.gradient.measures if assignment.gradient else ()
    return Evaluation(scores, gradients=dict.fromkeys(measures, coefficients))


def fail(assignment: Assignment) -> Evaluation:
    return Evaluation(failure=FailureReason.OUT_OF_MEMORY, message="full")


def run(sampler: str, budget: float, done: Sequence[TrialRecord] = ()) -> Iterator[TrialRecord]:
    return SamplerRun(SEARCH, sampler, 0, budget, evaluate, done).records()


def without_times(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [replace(record, sampler_s=0.0, evaluation_s=0.0) for record in records]


def test_every_sampler_starts_with_the_same_landmarks() -> None:
    started = [[record.params for record in run(name, N_LANDMARKS)] for name in ("tpe", "grid", "cmaes_sweep")]
    assert started == [list(SEARCH.encoded_landmarks.values())] * 3


def test_plain_trials_cost_one_each() -> None:
    assert [record.spent for record in run("random", 9)] == [float(number) for number in range(1, 10)]


@pytest.mark.parametrize("budget", [9.0, 10.0, 11.0])
def test_gradients_cost_more_and_the_budget_is_kept(budget: float) -> None:
    *before, last = run("gradient", budget)
    assert any(record.cost == 3.0 for record in before)
    assert last.spent == budget


def test_gradients_are_stored_under_the_trials_names() -> None:
    found = next(record for record in run("gradient", 40) if record.cost > 1)
    for gradient in found.system_attributes[GRADIENTS].values():
        assert gradient == pytest.approx(dict(found.params), rel=1e-6)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "map", "cmaes_sweep", "gradient"])
def test_interrupted_is_uninterrupted(tmp_path: Path, sampler: str) -> None:
    path = tmp_path / "run.jsonl"
    whole = list(run(sampler, 36))
    for record in islice(run(sampler, 36), 10):
        append_record(path, record)
    done = read_records(path)
    assert without_times([*done, *run(sampler, 36, done)]) == without_times(whole)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    records = list(run("random", 3))
    rewrite_records(path, records)
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    assert read_records(path) == records[:2]


def test_failures_are_paid_and_recorded() -> None:
    records = list(SamplerRun(SEARCH, "random", 0, 4, fail).records())
    assert [record.values for record in records] == [None] * 4
    assert records[-1].spent == 4
    assert records[-1].user_attributes["failure"] == "out_of_memory"
