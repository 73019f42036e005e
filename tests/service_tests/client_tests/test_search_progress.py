"""From `points` events to where a search stands."""

from __future__ import annotations

import numpy as np
import pytest

from service.api.schemas import Points
from service.client.search_progress import RemoteProgress
from service.pareto import hypervolume
from service.search import SearchProgress
from service.studies import FinishedTrial, reference_point

OBJECTIVES = ("expertise", "alignment")
# Number → landmark, values.
TRIALS: dict[int, tuple[str | None, tuple[float, float] | None]] = {
    0: ("base", (0.1, 0.9)),
    1: ("expert", (0.8, 0.2)),
    2: (None, (0.5, 0.6)),
    3: (None, None),
    4: (None, (0.7, 0.7)),
}


def points(*numbers: int, reset: bool = False) -> Points:
    chosen = [TRIALS[number] for number in numbers]
    return Points(
        reset=reset,
        numbers=numbers,
        values={
            name: tuple(values[i] if values else None for _, values in chosen) for i, name in enumerate(OBJECTIVES)
        },
        standard_errors=dict.fromkeys(OBJECTIVES, (None,) * len(numbers)),
        landmarks=tuple(landmark for landmark, _ in chosen),
        failures=tuple(None if values else "timeout" for _, values in chosen),
    )


def told(progress: RemoteProgress, *given: Points) -> list[SearchProgress]:
    return [step for one in given for step in progress.take(one)]


def test_every_candidate_is_told_of_once() -> None:
    steps = told(RemoteProgress(OBJECTIVES, 6, 0), points(0, 1, reset=True), points(3, 2), points(4))
    assert [(step.n_finished, step.n_failed) for step in steps] == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]
    assert steps[-1].best == {"expertise": 0.8, "alignment": 0.9}
    assert steps[-1].budget == 6
    assert steps[-1].last is not None
    assert steps[-1].last.number == 4
    assert steps[-1].evaluations_per_s > 0


def test_what_was_done_before_is_counted_and_not_told() -> None:
    steps = told(RemoteProgress(OBJECTIVES, 6, 2), points(0, 1, 2, reset=True))
    assert [step.n_finished for step in steps] == [3]
    assert steps[0].best == {"expertise": 0.8, "alignment": 0.9}


def test_a_reset_tells_nothing_twice() -> None:
    progress = RemoteProgress(OBJECTIVES, 6, 0)
    first = told(progress, points(0, 1, reset=True))
    again = told(progress, points(0, 1, 2, reset=True))
    assert [step.n_finished for step in (*first, *again)] == [1, 2, 3]


def test_hypervolume_is_that_of_the_trials_above_the_landmarks() -> None:
    steps = told(RemoteProgress(OBJECTIVES, 6, 0), points(0, 1, reset=True), points(2), points(3, 4))
    assert [step.hypervolume for step in steps[:2]] == [None, None]  # landmarks may still come, and move the reference
    trials = [
        FinishedTrial(number, {}, values or (), (None,) * 2 if values else (), landmark or "", 0.0, 0.0, "")
        for number, (landmark, values) in TRIALS.items()
    ]
    reference = reference_point(trials, 2)
    values = np.array([trial.values for trial in trials if trial.succeeded])
    assert steps[-1].hypervolume == pytest.approx(hypervolume(values, reference))
    assert steps[-2].hypervolume == steps[-3].hypervolume  # a failed one adds nothing


def test_a_search_of_landmarks_alone_ends_with_a_hypervolume() -> None:
    assert told(RemoteProgress(OBJECTIVES, 2, 0), points(0, 1, reset=True))[-1].hypervolume is not None


def test_nothing_but_failures() -> None:
    (step,) = told(RemoteProgress(OBJECTIVES, 3, 0), points(3, reset=True))
    assert (step.n_finished, step.n_failed, step.best, step.hypervolume) == (1, 1, {}, None)
