"""What the trials of a study know: points, values and gradients as arrays, read once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.samplers.unit_box import UnitBox
from service.studies.finished_trials import N_STAND_INS, reference_below
from service.studies.trial_gradients import GRADIENTS

Array = NDArray[np.float64]


class Archive:
    """A study's finished trials by number, whatever the order in which they finished.

    It holds nothing that another process could not read from the same trials. Estimates of races that were stopped are
    left out: what is known of them is that they lie behind the front.

    Args:
        search_space: name → distribution, sorted by name.
        n_objectives: of the study.
    """

    def __init__(self, search_space: Mapping[str, BaseDistribution], n_objectives: int) -> None:
        self.box = UnitBox(search_space)
        self._names = list(search_space)
        self._n_objectives = n_objectives
        self._shape = (n_objectives, len(self._names))
        self._points, self._values = np.empty((0, len(self._names))), np.empty((0, n_objectives))
        self._gradients = np.empty((0, *self._shape))
        self._seen = np.empty(0, dtype=bool)
        self._known = np.empty(0, dtype=bool)
        self._landmarks: set[int] = set()

    def read(self, study: Study, objectives: Sequence[str]) -> list[FrozenTrial]:
        """Take in what has finished since.

        Args:
            study: whose trials they are.
            objectives: the names under which gradients are stored, in the order of the values.

        Returns:
            The trials that run now, with all their parameters.
        """
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        self._grow(1 + max((trial.number for trial in trials), default=-1))
        for trial in trials:
            if trial.state == TrialState.COMPLETE and not self._seen[trial.number]:
                self._add(trial, objectives)
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        return [trial for trial in running if trial.params.keys() >= set(self._names)]

    def _grow(self, n: int) -> None:
        more = max(n, 2 * len(self._seen)) - len(self._seen) if n > len(self._seen) else 0
        if more:
            self._points = np.concatenate([self._points, np.zeros((more, self._shape[1]))])
            self._values = np.concatenate([self._values, np.zeros((more, self._n_objectives))])
            self._gradients = np.concatenate([self._gradients, np.full((more, *self._shape), np.nan)])
            self._seen = np.concatenate([self._seen, np.zeros(more, dtype=bool)])
            self._known = np.concatenate([self._known, np.zeros(more, dtype=bool)])

    def _add(self, trial: FrozenTrial, objectives: Sequence[str]) -> None:
        number = trial.number
        self._seen[number] = True
        if trial.user_attrs.get("share", 1.0) < 1.0 or not np.isfinite(trial.values).all():
            return
        self._known[number] = True
        self._points[number], self._values[number] = self.box.point(trial.params), trial.values
        if trial.user_attrs.get("landmark"):
            self._landmarks.add(number)
        gradients: Mapping[str, Mapping[str, float]] = trial.system_attrs.get(GRADIENTS, {})
        for index, objective in enumerate(objectives):
            if found := gradients.get(objective):
                slopes = np.array([found.get(name, np.nan) for name in self._names])
                # Per unit of the cube.
                self._gradients[number, index] = slopes * self.box.width

    @property
    def points(self) -> Array:
        """`n_known x n_dims` in the unit cube."""
        return self._points[self._known]

    @property
    def values(self) -> Array:
        """`n_known x n_objectives`."""
        return self._values[self._known]

    @property
    def gradients(self) -> Array:
        """`n_known x n_objectives x n_dims`, per unit of the cube; NaN where there is none."""
        return self._gradients[self._known]

    @property
    def n_plain(self) -> int:
        """How many points have been scored since the last one with gradients."""
        numbers = np.flatnonzero(np.isfinite(self.gradients).any(axis=(1, 2)))
        return len(self.points) - 1 - int(numbers[-1]) if len(numbers) else len(self.points)

    def reference(self) -> Array:
        """Whence hypervolume is counted, as everywhere: a little below the worst landmark; `n_objectives`."""
        landmarks = self._values[sorted(self._landmarks)] if self._landmarks else self.values[:N_STAND_INS]
        return np.array(reference_below(landmarks.tolist()))
