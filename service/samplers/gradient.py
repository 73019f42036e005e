"""Search by gradients of the objectives with respect to the coefficients."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from service.samplers._base import Sampler, SearchShape
from service.studies.trial_cost import COST, REQUEST, gradient_cost


class GradientSearch(Sampler):
    """Asks for the gradient of every trial, landmarks included."""

    name = "gradient"
    reference = "Bergstra and Bengio 2012, JMLR 13"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return GradientSampler(seed, shape.gradient_share)


class GradientSampler(RandomSampler):
    """Uniform draws whose trials ask for gradients; a place for what will follow them.

    Args:
        seed: of this trial's draw.
        share: of each set, how much a backward pass runs over.
    """

    def __init__(self, seed: int, share: float) -> None:
        super().__init__(seed)
        self._share = share

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Optuna's hook; what was enqueued passes by `sample_relative`, and its gradient is wanted, too."""
        storage, trial_id = study._storage, trial._trial_id
        storage.set_trial_system_attr(trial_id, COST, gradient_cost(self._share))
        storage.set_trial_system_attr(trial_id, REQUEST, {"share": self._share})
