"""Gaussian-process optimisation of the expected hypervolume improvement."""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler

from service.samplers._base import Sampler, SearchShape


class GaussianProcess(Sampler):
    """logEHVI on a Gaussian process per objective: few evaluations, each asked at the price of seconds."""

    name = "gp"
    reference = "Ament et al. 2023, arXiv:2310.20708"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GPSampler(seed=seed, n_startup_trials=min(10, max(1, shape.evaluations // 4)))
