"""Where the trials of a study stand to each other: front, doubt, reference point, hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from service.pareto import RunningHypervolume, certainly_dominated, hypervolume
from service.search.selection import front_of, select_trial
from service.studies import FinishedTrial, reference_point

# Trials that are compared with the front at once; only what it leaves is measured one by one.
_BLOCK = 256


class Standing:
    """What is derived from trials; each part when it is first asked for, and once.

    Args:
        trials: the finished ones, by number.
        n_objectives: of the study; there may be no trial to tell it.
        front: see the property; if it is known already.
        clearly_dominated: likewise; else it costs time that grows with the square of the trials.
    """

    def __init__(
        self,
        trials: Sequence[FinishedTrial],
        n_objectives: int,
        front: Sequence[FinishedTrial] | None = None,
        clearly_dominated: AbstractSet[int] | None = None,
    ) -> None:
        self.trials = trials
        self.n_objectives = n_objectives
        self._front = front
        self._clearly_dominated = clearly_dominated

    @cached_property
    def succeeded(self) -> list[FinishedTrial]:
        """The trials that have values."""
        return [trial for trial in self.trials if trial.succeeded]

    @cached_property
    def front(self) -> Sequence[FinishedTrial]:
        """The non-dominated trials, the best in the first objective first."""
        return front_of(self.succeeded) if self._front is None else self._front

    @cached_property
    def clearly_dominated(self) -> AbstractSet[int]:
        """Trials that another one beats by more than the errors of both."""
        if self._clearly_dominated is not None:
            return self._clearly_dominated
        marked = certainly_dominated(*values_and_errors(self.succeeded, self.n_objectives))
        return {trial.number for trial, clear in zip(self.succeeded, marked, strict=True) if clear}

    @cached_property
    def within_error(self) -> list[int]:
        """Trials beside the front that nothing beats by more than the errors of both: they may belong to it.

        Those that a race has stopped are none: they were beaten beyond doubt.
        """
        front = {trial.number for trial in self.front}
        out = front | self.clearly_dominated
        return [trial.number for trial in self.succeeded if not trial.was_stopped and trial.number not in out]

    @cached_property
    def reference_point(self) -> tuple[float, ...]:
        """Where hypervolume is measured from."""
        return reference_point(self.trials, self.n_objectives)

    @cached_property
    def hypervolume(self) -> float | None:
        """How much the trials dominate above the reference point; None while none has succeeded."""
        if not self.front:
            return None
        return hypervolume(np.array([trial.values for trial in self.front]), self.reference_point)

    @cached_property
    def spent_evaluations(self) -> list[float]:
        """What the first n trials cost together, for n from 0 to all of them."""
        return list(accumulate((trial.cost for trial in self.trials), initial=0.0))

    @cached_property
    def hypervolume_steps(self) -> list[tuple[int, float]]:
        """Where it has grown, in the order of the trials' numbers: (trials until then, hypervolume)."""
        running, steps = RunningHypervolume(self.reference_point), []
        best = np.empty((0, self.n_objectives))
        for start in range(0, len(self.trials), _BLOCK):
            block = [(n, t) for n, t in enumerate(self.trials[start : start + _BLOCK], start + 1) if t.succeeded]
            values = np.array([trial.values for _, trial in block]).reshape(len(block), self.n_objectives)
            covered = np.any(np.all(best[None] >= values[:, None], axis=2), axis=1).tolist()
            for (n_finished, trial), is_covered in zip(block, covered, strict=True):
                if not is_covered and running.add(trial.values) > 0.0:
                    steps.append((n_finished, running.value))
                    best = np.vstack([best, trial.values])
        return steps

    def select(self, constraints: Sequence[str], objectives: Sequence[str]) -> FinishedTrial:
        """The trial of the front that satisfies constraints best, or its knee; as `select_trial`, from the front alone.

        Raises:
            SelectionError: there is none, or a constraint is malformed.
        """
        by_number = sorted(self.front, key=lambda trial: trial.number)
        return select_trial(by_number, objectives, constraints=constraints)


def values_and_errors(
    trials: Sequence[FinishedTrial], n_objectives: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and standard errors as `n_trials x n_objectives`; no error counts as 0."""
    values = np.array([trial.values for trial in trials]).reshape(len(trials), n_objectives)
    errors = np.array([[error or 0.0 for error in trial.standard_errors] for trial in trials])
    return values, errors.reshape(len(trials), n_objectives)
