"""NSGA-II: evolution with non-dominated sorting and crowding."""

from __future__ import annotations

import warnings
from weakref import WeakKeyDictionary

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.samplers.nsgaii import SBXCrossover
from optuna.study import Study

from service.samplers._base import Sampler, SearchShape
from service.samplers.generations import GenerationalSampler, Generations


def population_size(shape: SearchShape) -> int:
    """Some ten generations within the budget, but enough parents for a front and for the workers."""
    return max(8, shape.n_workers, min(50, shape.evaluations // 10))


class Nsga2(Sampler):
    """NSGA-II with simulated binary crossover, the operator that its authors use for real numbers."""

    name = "nsga2"
    reference = "Deb et al. 2002, doi:10.1109/4235.996017"

    def __init__(self) -> None:
        # What is read of a study's trials once; another process reads the same.
        self._generations: WeakKeyDictionary[Study, Generations] = WeakKeyDictionary()

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the crossover's interface may change
            return _Nsga2Sampler(
                self._generations, seed=seed, population_size=population_size(shape), crossover=SBXCrossover()
            )


class _Nsga2Sampler(GenerationalSampler, NSGAIISampler):
    """Optuna's, which keeps count of its generations."""
