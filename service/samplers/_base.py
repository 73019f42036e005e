"""The contract of a sampler: all it knows comes from the study's trials, so that any driver can go on."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True, slots=True)
class SearchShape:
    """What a choice of sampler, or of its settings, rests on.

    Args:
        n_dims: numbers of a trial.
        n_objectives: all maximised.
        evaluations: the budget.
        n_workers: that evaluate at once.
        n_differentiable: objectives whose gradients with respect to the trial's numbers can be had.
        gradient_share: of each set, how much a backward pass runs over.
        objectives: their names, in the order of a trial's values.
        upper_bounds: what none of them can exceed, in the same order; None where there is no such bound.
    """

    n_dims: int
    n_objectives: int
    evaluations: int
    n_workers: int = 1
    n_differentiable: int = 0
    gradient_share: float = 1.0
    objectives: tuple[str, ...] = ()
    upper_bounds: tuple[float | None, ...] = ()


class Sampler(ABC):
    """A named way to propose trials.

    `is_random` says whether another seed leads to other proposals.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    is_random: ClassVar[bool] = True

    @abstractmethod
    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """An Optuna sampler that keeps nothing of its own between trials.

        Args:
            seed: of its random numbers.
            shape: of the search.
        """


class TrialSeededSampler(BaseSampler):
    """Builds its sampler afresh for each trial, seeded by the search's seed and the trial's number.

    So a trial's proposal depends on the study alone: a search that was interrupted and resumed proposes
    what it would have proposed without, and two drivers never draw the same numbers.

    Args:
        sampler: the family's member.
        seed: of the search.
        shape: of the search.
        distributions: the whole space, known beforehand.
    """

    def __init__(
        self, sampler: Sampler, seed: int, shape: SearchShape, distributions: Mapping[str, BaseDistribution]
    ) -> None:
        self._sampler = sampler
        self._seed = seed
        self._shape = shape
        # Sorted by name, as Optuna's own samplers see it: the order must not depend on who asks.
        self._distributions = dict(sorted(distributions.items()))
        self._current = self._seeded(0)

    def _seeded(self, number: int) -> BaseSampler:
        return self._sampler.build(zlib.crc32(f"{self._seed}/{number}".encode()), self._shape)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Optuna's hook: a sampler of its own for this trial."""
        self._current = self._seeded(trial.number)
        self._current.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna's hook: nothing to infer."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook."""
        return self._current.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna's hook."""
        return self._current.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Optuna's hook."""
        self._current.after_trial(study, trial, state, values)
