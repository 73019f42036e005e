"""NSGA-III: evolution with reference directions, for three objectives and more."""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler
from optuna.samplers.nsgaii import SBXCrossover

from service.samplers._base import Sampler, SearchShape
from service.samplers.nsga2 import population_size


class Nsga3(Sampler):
    """NSGA-III with simulated binary crossover."""

    name = "nsga3"
    reference = "Deb and Jain 2014, doi:10.1109/TEVC.2013.2281535"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change: the contract test tells
            return NSGAIIISampler(seed=seed, population_size=population_size(shape), crossover=SBXCrossover())
