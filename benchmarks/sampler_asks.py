"""How long a sampler thinks: the time of one ask, at many dimensions and trials.

The study is in memory, so that a database's time is not a sampler's. Its trials lie around the front of two bowls; half
of them have gradients.
"""

from __future__ import annotations

import argparse
import time
from statistics import median, quantiles

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.studies.trial_cost import COST, REQUEST, gradient_cost
from service.studies.trial_gradients import GRADIENTS

Array = NDArray[np.float64]
OBJECTIVES = ("alignment", "expertise")


def box(n_dims: int) -> dict[str, BaseDistribution]:
    """Weights of many layers."""
    return {f"expert/layer.{i:03d}/weight": FloatDistribution(0.0, 1.5) for i in range(n_dims)}


def trials(n_trials: int, n_dims: int, rng: np.random.Generator) -> list[FrozenTrial]:
    """Points that come closer to the front, as those of a search do."""
    centres, space = rng.random((2, n_dims)) * 1.5, box(n_dims)
    found = []
    for number in range(n_trials):
        share, spread = rng.random(), 0.5 * (1 - number / n_trials) + 0.02
        point = np.clip(centres.T @ [share, 1 - share] + spread * rng.standard_normal(n_dims), 0.0, 1.5)
        apart = point - centres
        params = dict(zip(space, map(float, point), strict=True))
        attributes = _told(list(space), -2 * apart) if number % 2 == 0 else {}
        values = (-(apart**2).sum(axis=1)).tolist()
        found.append(create_trial(params=params, distributions=space, values=values, system_attrs=attributes))
    return found


def _told(names: list[str], gradients: Array) -> dict[str, object]:
    stored = {
        objective: dict(zip(names, map(float, slopes), strict=True))
        for objective, slopes in zip(OBJECTIVES, gradients, strict=True)
    }
    return {COST: gradient_cost(1.0), REQUEST: {"share": 1.0}, GRADIENTS: stored}


def ask_times(sampler: str, n_dims: int, n_trials: int, n_asks: int) -> list[float]:
    """Seconds of each ask; every trial asked is told, so that none is like the one before."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng, space = np.random.default_rng(0), box(n_dims)
    shape = SearchShape(n_dims, 2, n_trials, n_differentiable=2, objectives=OBJECTIVES)
    study = optuna.create_study(
        directions=["maximize"] * 2, sampler=TrialSeededSampler(SAMPLERS[sampler], 0, shape, space)
    )
    study.add_trials(trials(n_trials, n_dims, rng))
    found = []
    for _ in range(n_asks + 1):
        started = time.perf_counter()
        trial = study.ask(space)
        found.append(time.perf_counter() - started)
        study.tell(trial, [-1.0, -1.0])
    # The first reads all trials, as a driver does once.
    print(f"{sampler}: the first ask, which reads {n_trials} trials, took {found[0]:.2f} s")
    return found[1:]


def main() -> None:
    """Print median and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samplers", nargs="*", default=["gradient", "nsga2"])
    parser.add_argument("--dims", type=int, default=160)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--asks", type=int, default=40)
    options = parser.parse_args()
    for sampler in options.samplers:
        times = ask_times(sampler, options.dims, options.trials, options.asks)
        low, _, high = quantiles(times, n=4)
        print(
            f"{sampler}: {median(times) * 1e3:.1f} ms (quartiles {low * 1e3:.1f} and {high * 1e3:.1f}) per ask, "
            f"{options.dims} dimensions, {options.trials} trials"
        )


if __name__ == "__main__":
    main()
