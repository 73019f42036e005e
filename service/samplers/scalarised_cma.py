"""CMA-ES on a weighted sum of the objectives, as a function of the study's trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.samplers.relative_sampler import RelativeSampler
from service.samplers.unit_box import UnitBox

if TYPE_CHECKING:
    from cmaes import CMA

# Akiba et al. 2024: the search starts in the middle of the unit cube, with a third of its half-width.
_START, _SIGMA = 0.5, 1 / 6
GENERATION = "paretomerge:cma_generation"


class ScalarisedCmaSampler(RelativeSampler):
    """Replays the generations that the study's trials belong to, then draws from the distribution they lead to.

    Nothing is pickled and nothing kept: the state of the optimiser is a function of the trials. The population is
    4 + ⌊3 ln n⌋, σ₀ = 1/6, and it starts at 0.5 of the scaled space.

    Args:
        seed: of this trial's draw.
        weights: one per objective of the sum that is maximised.
        attribute: the system attribute that holds a trial's generation; each run in a study has one of its own.
    """

    def __init__(self, seed: int, weights: Sequence[float], attribute: str = GENERATION) -> None:
        super().__init__(seed)
        self._weights = tuple(weights)
        self._attribute = attribute

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook: one draw, marked with its generation."""
        from cmaes import CMA  # with scipy: most of a second that other commands need not wait

        box = UnitBox(search_space)
        optimizer = CMA(
            mean=np.full(box.n_dims, _START),
            sigma=_SIGMA,
            bounds=np.tile([0.0, 1.0], (box.n_dims, 1)),
            population_size=4 + math.floor(3 * math.log(box.n_dims)),
            seed=self._seed,
        )
        generation = self._replay(optimizer, study, box)
        study._storage.set_trial_system_attr(trial._trial_id, self._attribute, generation)
        return box.params(optimizer.ask())

    def _replay(self, optimizer: CMA, study: Study, box: UnitBox) -> int:
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        generation = 0
        while True:
            members = [trial for trial in trials if trial.system_attrs.get(self._attribute) == generation]
            if len(members) < optimizer.population_size:
                return generation
            # Workers may have finished more than the population: the first ones count.
            told = members[: optimizer.population_size]
            optimizer.tell([(box.point(trial.params), -self._sum(trial.values)) for trial in told])
            generation += 1

    def _sum(self, values: Sequence[float]) -> float:
        return sum(weight * value for weight, value in zip(self._weights, values, strict=True))
