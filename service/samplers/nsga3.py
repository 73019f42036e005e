"""NSGA-III: evolution with reference directions, for three objectives and more."""

from __future__ import annotations

import warnings
from weakref import WeakKeyDictionary

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler
from optuna.samplers.nsgaii import SBXCrossover
from optuna.study import Study

from service.samplers._base import Sampler, SearchShape
from service.samplers.generations import GenerationalSampler, Generations
from service.samplers.nsga2 import population_size


class Nsga3(Sampler):
    """NSGA-III with simulated binary crossover."""

    name = "nsga3"
    reference = "Deb and Jain 2014, doi:10.1109/TEVC.2013.2281535"

    def __init__(self) -> None:
        # What is read of a study's trials once; another process reads the same.
        self._generations: WeakKeyDictionary[Study, Generations] = WeakKeyDictionary()

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change: the contract test tells
            return _Nsga3Sampler(
                self._generations, seed=seed, population_size=population_size(shape), crossover=SBXCrossover()
            )


class _Nsga3Sampler(GenerationalSampler, NSGAIIISampler):
    """Optuna's, which keeps count of its generations."""
