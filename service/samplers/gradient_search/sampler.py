"""The sampler that follows gradients: Optuna's hooks around `propose`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search_spaces.method_signature import LEADING_NAMES
from service.samplers._base import Sampler, SearchShape
from service.samplers.gradient_search.archive import Archive
from service.samplers.gradient_search.proposal import Knowledge, Proposal, propose
from service.samplers.relative_sampler import RelativeSampler
from service.samplers.unit_box import UnitBox
from service.studies.trial_cost import COST, REQUEST, gradient_cost

# Landmarks nearer to each other than this share of the cube's diagonal have much the same gradient.
_SAME = 0.15


class GradientSearch(Sampler):
    """A Gaussian process on values and gradients, climbed towards all directions of the front at once.

    One backward pass gives the derivatives by every coefficient, so that what a candidate teaches grows with the
    dimensions while its cost does not. Each trial says whether its gradient is asked for: where the model is sure of
    a gain, the scores alone will do. Densities, switches and objectives without gradients are modelled by their values.
    """

    name = "gradient"
    reference = "after Ament et al. 2023, arXiv:2310.20708, and de Roos et al. 2021, arXiv:2102.07542"

    def __init__(self) -> None:
        # What is read of a study's trials once; another process reads the same.
        self._archives: WeakKeyDictionary[Study, Archive] = WeakKeyDictionary()

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return GradientSampler(seed, shape, self._archives)


class GradientSampler(RelativeSampler):
    """Proposes one trial.

    Args:
        seed: of this trial's draws.
        shape: of the search.
        archives: study → what has been read of it; kept up to date.
    """

    def __init__(self, seed: int, shape: SearchShape, archives: WeakKeyDictionary[Study, Archive]) -> None:
        super().__init__(seed)
        self._shape, self._archives = shape, archives

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Optuna's hook: what was enqueued is never sampled, but its gradient may be wanted."""
        given: Mapping[str, float] = trial.system_attrs.get("fixed_params", {})
        if given and _is_news(study, trial, given):
            self._ask_for_gradient(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook."""
        if study not in self._archives:
            self._archives[study] = Archive(search_space, len(study.directions))
        archive = self._archives[study]
        proposal = self._propose(study, archive)
        if proposal.wants_gradient:
            self._ask_for_gradient(study, trial)
        return archive.box.params(proposal.point)

    def _propose(self, study: Study, archive: Archive) -> Proposal:
        rng = np.random.default_rng(self._seed)
        running = archive.read(study, self._shape.objectives)
        if not len(archive.evidence.points):
            return Proposal(rng.random(archive.box.n_dims), wants_gradient=True)
        pending = np.array([archive.box.point(trial.params) for trial in running])
        known = Knowledge(
            archive.evidence,
            archive.reference(),
            self._shape.upper_bounds,
            pending,
            archive.evidence.n_plain + sum(REQUEST not in trial.system_attrs for trial in running),
            is_partial=self._shape.gradient_share < 1,
        )
        with _threads().limit(limits=1, user_api="blas"):
            return propose(known, rng)

    def _ask_for_gradient(self, study: Study, trial: FrozenTrial) -> None:
        storage, trial_id, share = study._storage, trial._trial_id, self._shape.gradient_share
        storage.set_trial_system_attr(trial_id, COST, gradient_cost(share))
        storage.set_trial_system_attr(trial_id, REQUEST, {"share": share})


@cache
def _threads() -> Any:
    """Of linear algebra: the systems are small, and threads that spin take the cores that workers need."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _is_news(study: Study, trial: FrozenTrial, given: Mapping[str, float]) -> bool:
    """Whether it is a mixture of all models, and no trial nearby was asked for its gradient before.

    A model alone lies at an end of the front, and its gradient says little of the rest.
    """
    if any(value == 0 for name, value in given.items() if name.rpartition("/")[2] in LEADING_NAMES):
        return False
    others = [each for each in study.get_trials(deepcopy=False) if REQUEST in each.system_attrs]
    same_space = [each for each in others if each.params.keys() == given.keys() and each.number != trial.number]
    return all(_distance(UnitBox(each.distributions), each.params, given) > _SAME for each in same_space)


def _distance(box: UnitBox, a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """As a share of the cube's diagonal."""
    apart: NDArray[np.float64] = box.point(a) - box.point(b)
    return float(np.linalg.norm(apart) / np.sqrt(box.n_dims))
