"""Regret: how much hypervolume a run lacks of what all runs together have found, after a given cost.

The reference point is that of a search: a tenth of the landmarks' range below the worst of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.trial_records import TrialRecord
from service.pareto import RunningHypervolume, hypervolume
from service.studies.finished_trials import finished_trial, reference_point

Run = Sequence[TrialRecord]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All runs on one family and granularity.

    Args:
        runs: sampler → its runs, one per seed.
        reference: where hypervolume is measured from.
        union: hypervolume of all trials of all runs.
        budget: of each run.
    """

    runs: Mapping[str, Sequence[Run]]
    reference: tuple[float, ...]
    union: float
    budget: float

    def regrets(self, sampler: str, costs: Sequence[float]) -> Floats:
        """`n_runs x n_costs`, of all trials that were finished when so much was spent."""
        return np.array([[self.union - volume for volume in self._volumes(run, costs)] for run in self.runs[sampler]])

    def median_regret(self, sampler: str, cost: float) -> float:
        """Over the seeds."""
        return float(np.median(self.regrets(sampler, [cost])))

    def _volumes(self, run: Run, costs: Sequence[float]) -> list[float]:
        front = RunningHypervolume(self.reference)
        spent, volumes = [0.0], [0.0]
        for record in run:
            if record.values is not None:
                front.add(record.values)
            spent.append(record.spent)
            volumes.append(front.value)
        # Costs may be fractions, whose sums are rounded.
        last = np.searchsorted(np.array(spent), np.array(costs) + 1e-6, side="right") - 1
        return [volumes[index] for index in last]


def compare(runs: Mapping[str, Sequence[Run]], budget: float) -> Comparison:
    """Measure runs of the same search by different samplers, all with the same budget.

    Raises:
        ValueError: there is no trial with values.
    """
    every_run = [run for several in runs.values() for run in several]
    points = [record.values for run in every_run for record in run if record.values is not None]
    if not points:
        raise ValueError("Runs must have trials with values to be compared, but none has: run the cells first.")
    reference = _reference(every_run[0], len(points[0]))
    return Comparison(runs, reference, hypervolume(np.array(points), reference), budget)


def _reference(run: Run, n_objectives: int) -> tuple[float, ...]:
    """From any run: all have the same landmarks."""
    trials = [
        finished_trial(number, record.params, record.values or (), record.user_attributes)
        for number, record in enumerate(run)
    ]
    return reference_point(trials, n_objectives)
