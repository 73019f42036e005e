"""What the trials of a study know: points, values and gradients as arrays, read once each."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from service.samplers.gradient_search.evidence import Evidence
from service.samplers.trial_news import TrialNews
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
        self._news = TrialNews()
        # In order; the first rows are theirs, and then comes room for more.
        self._numbers: list[int] = []
        self._is_landmark: list[bool] = []
        self._rows = Evidence.empty(_ROOM, n_objectives, len(self._names))

    def read(self, study: Study, objectives: Sequence[str]) -> list[FrozenTrial]:
        """Take in what has finished since.

        Args:
            study: whose trials they are.
            objectives: the names under which gradients are stored, in the order of the values.

        Returns:
            The trials that run now, with all their parameters.
        """
        complete, running = self._news.read(study)
        for trial in filter(_is_whole, complete):
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
    def evidence(self) -> Evidence:
        """What the trials say, in the order of their numbers."""
        return self._rows.first(len(self._numbers))

    def reference(self) -> Array:
        """Whence hypervolume is counted, as everywhere: a little below the worst landmark; `n_objectives`."""
        values = self.evidence.values
        landmarks = values[self._is_landmark] if any(self._is_landmark) else values[:N_STAND_INS]
        return np.array(reference_below(landmarks.tolist()))


def _is_whole(trial: FrozenTrial) -> bool:
    """Whether its values are those of whole sets."""
    return trial.user_attrs.get("share", 1.0) == 1.0 and bool(np.isfinite(trial.values).all())
