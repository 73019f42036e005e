"""CMA-ES on a weighted sum of the objectives: what the paper does, and one point of the front."""

from __future__ import annotations

from optuna.samplers import BaseSampler

from service.samplers._base import Sampler, SearchShape
from service.samplers.scalarised_cma import ScalarisedCmaSampler

# Hammoud et al. 2024, section 5.3: L = L_safety + 0.3 · L_expert.
ALPHA = 0.3


class CmaEs(Sampler):
    """EvoMM's optimiser: population 4 + ⌊3 ln n⌋, σ₀ = 1/6, started at 0.5 of the scaled space.

    The first objective counts fully, every other one `ALPHA` times.
    """

    name = "cmaes"
    reference = "Hansen and Ostermeier 2001; as in Akiba et al. 2024, arXiv:2403.13187, and arXiv:2406.14563"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return ScalarisedCmaSampler(seed, [1.0, *[ALPHA] * (shape.n_objectives - 1)])
