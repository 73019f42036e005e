"""Where a search stands, from its trials one at a time: the same as from all of them at once."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from service.pareto import hypervolume
from service.search.progress import ProgressMeter
from service.studies import FinishedTrial, reference_point, saved_evaluations, spent_evaluations

OBJECTIVES = ("alignment", "expertise")


def some_trials(seed: int, n_landmarks: int, n: int = 30) -> list[FinishedTrial]:
    random, found = Random(seed), []
    for number in range(n):
        failed = random.random() < 0.2
        values = () if failed else (random.random(), random.random())
        landmark = f"landmark {number}" if number < n_landmarks else ""
        share, cost = random.choice((0.5, 1.0)), random.choice((1.0, 2.0, 3.0))
        failure = "timeout" if failed else ""
        found.append(FinishedTrial(number, {}, values, (None,) * len(values), landmark, 0, 0, failure, share, cost))
    return found


@pytest.mark.parametrize("n_landmarks", [0, 4])
@pytest.mark.parametrize("seed", range(4))
def test_at_every_moment(seed: int, n_landmarks: int) -> None:
    trials, meter = some_trials(seed, n_landmarks), ProgressMeter(OBJECTIVES, 100, 0.0)
    arriving = Random(seed).sample(trials, len(trials))
    for n, trial in enumerate(arriving, 1):
        assert meter.count(trial)
        assert not meter.count(trial)
        progress = meter.measure(trial, has_landmarks=True)
        known = sorted(arriving[:n], key=lambda each: each.number)
        succeeded = [each for each in known if each.succeeded]
        assert (progress.n_finished, progress.n_failed) == (n, n - len(succeeded))
        assert progress.spent == spent_evaluations(known)
        assert progress.saved_evaluations == saved_evaluations(known)
        if succeeded:
            values = np.array([each.values for each in succeeded])
            assert tuple(progress.best.values()) == tuple(values.max(axis=0))
            assert progress.hypervolume == pytest.approx(hypervolume(values, reference_point(known, 2)))


def test_a_search_that_is_made_again_is_counted_anew() -> None:
    trials, meter = some_trials(0, 2), ProgressMeter(OBJECTIVES, 100, 0.0)
    for trial in trials:
        meter.count(trial)
    meter.restart()
    assert meter.measure(None, has_landmarks=True).hypervolume is None
    assert meter.count(trials[0])
    assert (meter.n_finished, meter.n_landmarks, meter.spent) == (1, 1, trials[0].cost)
