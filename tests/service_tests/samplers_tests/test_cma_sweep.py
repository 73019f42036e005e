"""The sweep: runs that do not know of each other, and a front instead of a point."""

from __future__ import annotations

from collections import Counter

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.samplers.cma_sweep import sweep_weights

BOX: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(3)}
POPULATION = 4 + 3
N_RUNS = 5
BEST = (0.3, 0.9)


def new_study(n_objectives: int = 2, name: str = "cmaes_sweep") -> optuna.Study:
    sampler = TrialSeededSampler(SAMPLERS[name], 5, SearchShape(len(BOX), n_objectives, 100), BOX)
    return optuna.create_study(directions=["maximize"] * n_objectives, sampler=sampler)


def drive(study: optuna.Study, n_trials: int, scale: float = 1.0) -> None:
    for _ in range(n_trials):
        trial = study.ask(dict(BOX))
        point = point_of(trial)
        study.tell(trial, [-float(((point - best) ** 2).sum()) * s for best, s in zip(BEST, (1, scale), strict=True)])


def point_of(trial: optuna.Trial | FrozenTrial) -> NDArray[np.float64]:
    return np.array([trial.params[name] for name in BOX])


def run_of(trial: FrozenTrial) -> str:
    return next(key for key in trial.system_attrs if key.startswith("paretomerge:cma_generation:"))


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 5])
def test_runs_treat_objectives_alike_and_differ(n_objectives: int) -> None:
    weights = sweep_weights(n_objectives)
    assert len(set(weights)) == len(weights)
    assert len({round(total, 9) for total in np.sum(weights, axis=0)}) == 1


def test_two_objectives_have_the_papers_weights_among_them() -> None:
    assert sorted(round(second / first, 2) for first, second in sweep_weights(2)) == [0.1, 0.3, 1.0, 3.33, 10.0]


def test_trials_are_dealt_in_turn() -> None:
    study = new_study()
    drive(study, 3 * N_RUNS)
    assert set(Counter(run_of(trial) for trial in study.trials).values()) == {3}
    assert len({run_of(trial) for trial in study.trials[:N_RUNS]}) == N_RUNS


def test_trials_under_way_are_dealt_too() -> None:
    study = new_study()
    for _ in range(N_RUNS):
        study.ask(dict(BOX))
    assert len({run_of(trial) for trial in study.trials}) == N_RUNS


def test_each_run_counts_its_own_generations() -> None:
    study = new_study()
    drive(study, N_RUNS * POPULATION)
    assert all(trial.system_attrs[run_of(trial)] == 0 for trial in study.trials)
    drive(study, N_RUNS)
    assert all(trial.system_attrs[run_of(trial)] == 1 for trial in study.trials[-N_RUNS:])


def test_runs_end_where_their_weights_lead() -> None:
    study = new_study()
    drive(study, 20 * N_RUNS * POPULATION)
    for run, (first, second) in enumerate(sweep_weights(2)):
        last = [trial for trial in study.trials[-N_RUNS * POPULATION :] if run_of(trial).endswith(f":{run}")]
        expected = (first * BEST[0] + second * BEST[1]) / (first + second)
        assert np.mean([point_of(trial) for trial in last]) == pytest.approx(expected, abs=0.03)


def test_the_scale_of_an_objective_does_not_matter() -> None:
    plain, scaled = new_study(), new_study()
    for study, scale in ((plain, 1.0), (scaled, 1024.0)):
        for corner in (0.0, 0.5, 1.0):
            study.enqueue_trial(dict.fromkeys(BOX, corner), user_attrs={"landmark": str(corner)})
        drive(study, 3 + 3 * N_RUNS * POPULATION, scale)
    assert [trial.params for trial in plain.trials] == [trial.params for trial in scaled.trials]


def test_with_one_objective_it_is_cmaes() -> None:
    studies = [new_study(1, name) for name in ("cmaes_sweep", "cmaes")]
    for study in studies:
        for _ in range(3 * POPULATION):
            trial = study.ask(dict(BOX))
            study.tell(trial, -float(((point_of(trial) - 0.3) ** 2).sum()))
    assert [trial.params for trial in studies[0].trials] == [trial.params for trial in studies[1].trials]


def test_a_failure_is_dealt_and_moves_nothing() -> None:
    study = new_study()
    for _ in range(N_RUNS * POPULATION):
        study.tell(study.ask(dict(BOX)), state=TrialState.FAIL)
    drive(study, N_RUNS)
    assert all(trial.system_attrs[run_of(trial)] == 0 for trial in study.trials)
