"""CMA-ES on a weighted sum of the objectives: what the paper does, and one point of the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.samplers._base import Sampler, SearchShape

if TYPE_CHECKING:
    from cmaes import CMA

# Hammoud et al. 2024, section 5.3: L = L_safety + 0.3 · L_expert.
ALPHA = 0.3
# Akiba et al. 2024: the search starts in the middle of the unit cube, with a third of its half-width.
_START, _SIGMA = 0.5, 1 / 6
_GENERATION = "paretomerge:cma_generation"


class CmaEs(Sampler):
    """EvoMM's optimiser: population 4 + ⌊3 ln n⌋, σ₀ = 1/6, started at 0.5 of the scaled space.

    The first objective counts fully, every other one `ALPHA` times.
    """

    name = "cmaes"
    reference = "Hansen and Ostermeier 2001; as in Akiba et al. 2024, arXiv:2403.13187, and arXiv:2406.14563"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return ScalarisedCmaSampler(seed, alpha=ALPHA)


class ScalarisedCmaSampler(BaseSampler):
    """Replays the generations that the study's trials belong to, then draws from the distribution they lead to.

    Nothing is pickled and nothing kept: the state of the optimiser is a function of the trials.

    Args:
        seed: of this trial's draw.
        alpha: weight of every objective but the first.
    """

    def __init__(self, seed: int, alpha: float) -> None:
        self._seed = seed
        self._alpha = alpha
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna's hook; the search gives the space itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook: one draw, marked with its generation."""
        from cmaes import CMA  # with scipy: most of a second that other commands need not wait

        box = _Box(search_space)
        optimizer = CMA(
            mean=np.full(box.n_dims, _START),
            sigma=_SIGMA,
            bounds=np.tile([0.0, 1.0], (box.n_dims, 1)),
            population_size=4 + math.floor(3 * math.log(box.n_dims)),
            seed=self._seed,
        )
        generation = self._replay(optimizer, study, box)
        study._storage.set_trial_system_attr(trial._trial_id, _GENERATION, generation)
        return box.params(optimizer.ask())

    def _replay(self, optimizer: CMA, study: Study, box: _Box) -> int:
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        generation = 0
        while True:
            members = [trial for trial in trials if trial.system_attrs.get(_GENERATION) == generation]
            if len(members) < optimizer.population_size:
                return generation
            # Workers may have finished more than the population: the first ones count.
            told = members[: optimizer.population_size]
            optimizer.tell([(box.point(trial.params), -self._scalar(trial.values)) for trial in told])
            generation += 1

    def _scalar(self, values: Sequence[float]) -> float:
        return values[0] + self._alpha * sum(values[1:])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna's hook: uniform, for a parameter outside the space."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


class _Box:
    """The search space scaled to the unit cube; whole numbers are rounded on the way back."""

    def __init__(self, search_space: dict[str, BaseDistribution]) -> None:
        self._names = list(search_space)
        numbers = [d for d in search_space.values() if isinstance(d, FloatDistribution | IntDistribution)]
        self._is_whole = [isinstance(d, IntDistribution) for d in numbers]
        self._low = np.array([d.low for d in numbers], dtype=np.float64)
        self._width = np.array([d.high for d in numbers]) - self._low

    @property
    def n_dims(self) -> int:
        return len(self._names)

    def point(self, params: dict[str, float]) -> NDArray[np.float64]:
        values = np.array([params[name] for name in self._names])
        scaled: NDArray[np.float64] = np.clip((values - self._low) / self._width, 0.0, 1.0)
        return scaled

    def params(self, point: NDArray[np.float64]) -> dict[str, float]:
        values = np.clip(self._low + point * self._width, self._low, self._low + self._width)
        whole = zip(self._names, map(float, values), self._is_whole, strict=True)
        return {name: round(value) if is_whole else value for name, value, is_whole in whole}
