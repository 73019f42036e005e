"""CMA-ES against the library that it replays, and on a problem with a known end."""

from __future__ import annotations

import math
import zlib

import numpy as np
import optuna
import pytest
from cmaes import CMA
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.samplers.cma_es import ALPHA

N_DIMS = 4
LOW, HIGH = np.array([0.0, -1.0, 0.0, 0.2]), np.array([1.5, 1.0, 0.1, 0.7])
BOX: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(LOW[i], HIGH[i]) for i in range(N_DIMS)}
POPULATION = 4 + math.floor(3 * math.log(N_DIMS))


def new_study(seed: int = 5) -> optuna.Study:
    sampler = TrialSeededSampler(SAMPLERS["cmaes"], seed, SearchShape(N_DIMS, 2, 100), BOX)
    return optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)


def scaled(trial: FrozenTrial | optuna.Trial) -> NDArray[np.float64]:
    return np.asarray((np.array([trial.params[name] for name in BOX]) - LOW) / (HIGH - LOW))


def values_of(point: NDArray[np.float64]) -> list[float]:
    return [-float(((point - 0.8) ** 2).sum()), -float(((point - 0.7) ** 2).sum())]


def drive(study: optuna.Study, n_trials: int) -> None:
    for _ in range(n_trials):
        trial = study.ask(dict(BOX))
        study.tell(trial, values_of(scaled(trial)))


def library(seed: int) -> CMA:
    bounds = np.tile([0.0, 1.0], (N_DIMS, 1))
    return CMA(mean=np.full(N_DIMS, 0.5), sigma=1 / 6, bounds=bounds, population_size=POPULATION, seed=seed)


def tell_generations(optimizer: CMA, trials: list[FrozenTrial]) -> None:
    for start in range(0, len(trials) - POPULATION + 1, POPULATION):
        generation = trials[start : start + POPULATION]
        optimizer.tell([(scaled(trial), -trial.values[0] - ALPHA * trial.values[1]) for trial in generation])


@pytest.mark.parametrize("n_generations", [0, 1, 2, 5])
def test_draws_what_the_library_would(n_generations: int) -> None:
    study = new_study()
    drive(study, n_generations * POPULATION)
    optimizer = library(seed=zlib.crc32(f"5/{len(study.trials)}".encode()))
    tell_generations(optimizer, study.trials)
    assert scaled(study.ask(dict(BOX))) == pytest.approx(optimizer.ask())


def test_an_unfinished_generation_moves_nothing() -> None:
    study = new_study()
    drive(study, 2 * POPULATION - 1)
    optimizer = library(seed=zlib.crc32(f"5/{len(study.trials)}".encode()))
    tell_generations(optimizer, study.trials)
    assert scaled(study.ask(dict(BOX))) == pytest.approx(optimizer.ask())


def test_improves_a_quadratic() -> None:
    study = new_study()
    drive(study, 30 * POPULATION)
    losses = [-trial.values[0] - ALPHA * trial.values[1] for trial in study.trials]
    least = N_DIMS * 0.1**2 * ALPHA / (1 + ALPHA)
    assert np.mean(losses[:POPULATION]) > 20 * least
    assert np.mean(losses[-POPULATION:]) == pytest.approx(least, rel=0.1)


def test_the_second_objective_counts_three_tenths() -> None:
    study = new_study()
    drive(study, 30 * POPULATION)
    expected = (0.8 + ALPHA * 0.7) / (1 + ALPHA)
    assert np.mean([scaled(trial) for trial in study.trials[-POPULATION:]]) == pytest.approx(expected, abs=5e-3)


def test_landmarks_are_of_no_generation() -> None:
    study = new_study()
    for weight in (0.0, 0.05):
        study.enqueue_trial({"x0": weight, "x1": weight, "x2": weight, "x3": 0.2 + weight})
    drive(study, 2 + POPULATION)
    generations = [trial.system_attrs.get("paretomerge:cma_generation") for trial in study.trials]
    assert generations == [None] * 2 + [0] * POPULATION


def test_failures_are_replaced_within_their_generation() -> None:
    study = new_study()
    for _ in range(3):
        study.tell(study.ask(dict(BOX)), state=TrialState.FAIL)
    drive(study, POPULATION + 1)
    generations = [trial.system_attrs["paretomerge:cma_generation"] for trial in study.trials]
    assert generations == [0] * (3 + POPULATION) + [1]
