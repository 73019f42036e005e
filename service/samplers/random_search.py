"""Uniform random search: the baseline that every sampler must beat."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler

from service.samplers._base import Sampler, SearchShape


class RandomSearch(Sampler):
    """Independent uniform draws."""

    name = "random"
    reference = "Bergstra and Bengio 2012, JMLR 13"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return RandomSampler(seed=seed)
