"""What the trials of a study know: points, values and gradients as arrays, read once each."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.samplers.unit_box import UnitBox
from service.studies.finished_trials import N_STAND_INS, reference_below
from service.studies.trial_gradients import GRADIENTS

Array = NDArray[np.float64]

# Trials for which there is room at first.
_ROOM = 64


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
        self._seen: set[int] = set()
        # In order; the first rows are theirs, and then comes room for more.
        self._numbers: list[int] = []
        self._is_landmark: list[bool] = []
        self._rows = _Rows.empty(_ROOM, n_objectives, len(self._names))

    def read(self, study: Study, objectives: Sequence[str]) -> list[FrozenTrial]:
        """Take in what has finished since.

        Args:
            study: whose trials they are.
            objectives: the names under which gradients are stored, in the order of the values.

        Returns:
            The trials that run now, with all their parameters.
        """
        running = []
        for trial in study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                running.append(trial)
            elif trial.state == TrialState.COMPLETE and trial.number not in self._seen:
                self._seen.add(trial.number)
                if _is_whole(trial):
                    self._add(trial, objectives)
        return [trial for trial in running if trial.params.keys() >= set(self._names)]

    def _add(self, trial: FrozenTrial, objectives: Sequence[str]) -> None:
        row, n = bisect(self._numbers, trial.number), len(self._numbers)
        self._numbers.insert(row, trial.number)
        self._is_landmark.insert(row, "landmark" in trial.user_attrs)
        self._rows = self._rows.opened(row, n)
        self._rows.points[row], self._rows.values[row] = self.box.point(trial.params), trial.values
        self._rows.gradients[row] = self._slopes(trial, objectives)
        self._rows.graded[row] = np.isfinite(self._rows.gradients[row]).any()

    def _slopes(self, trial: FrozenTrial, objectives: Sequence[str]) -> Array:
        """Per unit of the cube, `n_objectives x n_dims`."""
        gradients: Mapping[str, Mapping[str, float]] = trial.system_attrs.get(GRADIENTS, {})
        found = np.full(self._rows.gradients.shape[1:], np.nan)
        for index, objective in enumerate(objectives):
            if slopes := gradients.get(objective):
                found[index] = np.array([slopes.get(name, np.nan) for name in self._names]) * self.box.width
        return found

    @property
    def points(self) -> Array:
        """`n_known x n_dims` in the unit cube."""
        return self._rows.points[: len(self._numbers)]

    @property
    def values(self) -> Array:
        """`n_known x n_objectives`."""
        return self._rows.values[: len(self._numbers)]

    @property
    def gradients(self) -> Array:
        """`n_known x n_objectives x n_dims`, per unit of the cube; NaN where there is none."""
        return self._rows.gradients[: len(self._numbers)]

    @property
    def graded(self) -> NDArray[np.bool_]:
        """`n_known`: whether there is a gradient."""
        return self._rows.graded[: len(self._numbers)]

    @property
    def n_plain(self) -> int:
        """How many points have been scored since the last one with gradients."""
        graded = np.flatnonzero(self.graded)
        return len(self._numbers) - 1 - int(graded[-1]) if len(graded) else len(self._numbers)

    def reference(self) -> Array:
        """Whence hypervolume is counted, as everywhere: a little below the worst landmark; `n_objectives`."""
        landmarks = self.values[self._is_landmark] if any(self._is_landmark) else self.values[:N_STAND_INS]
        return np.array(reference_below(landmarks.tolist()))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Arrays that grow together."""

    points: Array
    values: Array
    gradients: Array
    graded: NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int, n_objectives: int, n_dims: int) -> _Rows:
        gradients = np.empty((n, n_objectives, n_dims))
        return cls(np.empty((n, n_dims)), np.empty((n, n_objectives)), gradients, np.empty(n, dtype=bool))

    def opened(self, row: int, n: int) -> _Rows:
        """With a gap at a row; of `n` that are filled, those behind it move on."""
        rows = self
        if n == len(self.points):
            rows = _Rows.empty(2 * n, *self.gradients.shape[1:])
            for new, old in zip(rows._arrays, self._arrays, strict=True):
                new[:n] = old
        for array in rows._arrays:
            array[row + 1 : n + 1] = array[row:n].copy()
        return rows

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.points, self.values, self.gradients, self.graded


def _is_whole(trial: FrozenTrial) -> bool:
    """Whether its values are those of whole sets."""
    return trial.user_attrs.get("share", 1.0) == 1.0 and bool(np.isfinite(trial.values).all())
