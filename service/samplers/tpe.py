"""TPE: tree-structured Parzen estimators over all parameters at once."""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler

from service.samplers._base import Sampler, SearchShape


class Tpe(Sampler):
    """Multivariate TPE; for several objectives it splits the trials by non-domination and hypervolume."""

    name = "tpe"
    reference = "Bergstra et al. 2011; Ozaki et al. 2022, doi:10.1613/jair.1.13188"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # `multivariate`: five times cheaper here than without
            return TPESampler(
                seed=seed,
                multivariate=True,
                constant_liar=shape.n_workers > 1,  # trials under way repel, so that workers do not try the same
                n_startup_trials=min(10, max(1, shape.evaluations // 4)),
            )
