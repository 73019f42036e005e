"""CMA-ES on several weighted sums in turn, so that scalarised searches give a front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from service.samplers._base import Sampler, SearchShape
from service.samplers.relative_sampler import RelativeSampler
from service.samplers.scalarised_cma import GENERATION, ScalarisedCmaSampler
from service.studies.finished_trials import N_STAND_INS

# What the other objectives count beside the one that counts fully. With two objectives, and with all equal, that is
# `f0 + alpha * f1` for alpha in 0.1, 0.3, 1, 3.3, 10: the paper's 0.3 (arXiv:2406.14563, section 5.3) and around it.
_SHARES = (0.3, 0.1)


class CmaEsSweep(Sampler):
    """A run of `cmaes` for each of a list of weighted sums; the trials are dealt to the runs in turn.

    Objectives are divided by the range that the landmarks have in them, so that the weights mean the same
    whatever is measured.
    """

    name = "cmaes_sweep"
    reference = "as `cmaes`, arXiv:2403.13187; weighted sums for a front: Marler and Arora 2010, SMO 41"

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        """See `Sampler.build`."""
        return _SweepSampler(seed, sweep_weights(shape.n_objectives))


def sweep_weights(n_objectives: int) -> tuple[tuple[float, ...], ...]:
    """The weights of each run: all equal, then each objective before the others, more and more."""
    if n_objectives == 1:
        return ((1.0,),)
    one_ahead = (
        tuple(1.0 if objective == first else share for objective in range(n_objectives))
        for share in _SHARES
        for first in range(n_objectives)
    )
    return (1.0,) * n_objectives, *one_ahead


class _SweepSampler(RelativeSampler):
    """Gives the trial to the run that has had the fewest.

    Args:
        seed: of this trial's draw.
        runs: weights of each.
    """

    def __init__(self, seed: int, runs: Sequence[Sequence[float]]) -> None:
        super().__init__(seed)
        self._runs = tuple(runs)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's hook: one draw of one run, marked with that run's generation."""
        trials = study.get_trials(deepcopy=False)
        dealt = [sum(_attribute(run) in each.system_attrs for each in trials) for run in range(len(self._runs))]
        run = dealt.index(min(dealt))
        weights = np.array(self._runs[run]) / _ranges(trials, len(self._runs[run]))
        one_run = ScalarisedCmaSampler(self._seed, weights.tolist(), _attribute(run))
        return one_run.sample_relative(study, trial, search_space)


def _attribute(run: int) -> str:
    return f"{GENERATION}:{run}"


def _ranges(trials: Sequence[FrozenTrial], n_objectives: int) -> NDArray[np.float64]:
    """Of each objective over the landmarks, or over the first trials; 1 where nothing is known."""
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    landmarks = [trial for trial in finished if "landmark" in trial.user_attrs]
    known = np.array([trial.values for trial in landmarks or finished[:N_STAND_INS]]).reshape(-1, n_objectives)
    ranges = np.ptp(known, axis=0) if len(known) else np.zeros(n_objectives)
    return np.where(ranges > 0, ranges, 1.0)
