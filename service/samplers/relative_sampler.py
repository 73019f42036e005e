"""What our own samplers share: all numbers of a trial are proposed together, over the space that the search gives."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class RelativeSampler(BaseSampler):
    """Proposes one trial.

    Args:
        seed: of this trial's draws.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna's hook; the search gives the space itself."""
        return {}

    @abstractmethod
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook: the proposal."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna's hook: uniform, for a parameter outside the space."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)
