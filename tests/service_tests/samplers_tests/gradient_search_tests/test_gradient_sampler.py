"""The sampler finds a front whose gradients it is told, and says itself when it wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from service.pareto import hypervolume
from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.studies.trial_cost import COST, REQUEST, cost_of
from service.studies.trial_gradients import GRADIENTS

N_DIMS, BUDGET = 24, 90
SHAPE = SearchShape(N_DIMS, 2, BUDGET, n_differentiable=2, objectives=("first", "second"))
NAMES = [f"expert/layer.{i:02d}/weight" for i in range(N_DIMS)]
BOX: dict[str, BaseDistribution] = {name: FloatDistribution(0.0, 1.5) for name in NAMES}
REFERENCE = (-3.0, -3.0)

Array = NDArray[np.float64]


def two_bowls(params: Mapping[str, float]) -> tuple[Array, Array]:
    """Values `2` and gradients `2 x n_dims` of two bowls with different centres and axes."""
    x = np.array([params[name] for name in NAMES])
    centres = np.stack([np.linspace(0.2, 1.2, N_DIMS), np.linspace(1.3, 0.1, N_DIMS)])
    axes = np.stack([np.linspace(0.2, 1.0, N_DIMS), np.linspace(1.0, 0.3, N_DIMS)])
    apart = x - centres
    return -(axes * apart**2).sum(axis=1), -2 * axes * apart


def study_of(sampler: str, shape: SearchShape = SHAPE) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeded = TrialSeededSampler(SAMPLERS[sampler], 0, shape, BOX)
    study = optuna.create_study(directions=["maximize"] * 2, sampler=seeded)
    for landmark in (0.0, 0.75, 1.5):
        study.enqueue_trial(dict.fromkeys(NAMES, landmark), user_attrs={"landmark": str(landmark)})
    return study


def spend(study: optuna.Study, budget: float) -> None:
    spent = sum(cost_of(trial.system_attrs) for trial in study.trials)
    while spent < budget:
        trial = study.ask(BOX)
        values, gradients = two_bowls(trial.params)
        attributes = study._storage.get_trial(trial._trial_id).system_attrs
        if REQUEST in attributes:
            told = dict(zip(("first", "second"), gradients, strict=True))
            stored = {name: dict(zip(NAMES, map(float, slopes), strict=True)) for name, slopes in told.items()}
            study._storage.set_trial_system_attr(trial._trial_id, GRADIENTS, stored)
        spent += cost_of(attributes)
        study.tell(trial, list(values))


def volume_of(study: optuna.Study) -> float:
    return hypervolume(np.array([trial.values for trial in study.trials]), REFERENCE)


def test_finds_more_than_evolution_at_a_fraction_of_the_cost() -> None:
    ours, theirs = study_of("gradient"), study_of("nsga2")
    spend(ours, BUDGET)
    spend(theirs, 4 * BUDGET)
    assert volume_of(ours) > volume_of(theirs)


def test_mixes_in_plain_evaluations_once_the_model_is_sure() -> None:
    study = study_of("gradient")
    spend(study, BUDGET)
    asked = [REQUEST in trial.system_attrs for trial in study.trials]
    assert asked[:3] == [False, True, True]
    assert not all(asked)
    assert all((COST in trial.system_attrs) == wants for trial, wants in zip(study.trials, asked, strict=True))


def test_mixtures_are_asked_for_gradients_but_not_twice() -> None:
    """The base alone, whose weights are 0, is none; 0.8 is much like 0.75."""
    study = study_of("gradient")
    study.enqueue_trial(dict.fromkeys(NAMES, 0.8), user_attrs={"landmark": "like 0.75"})
    asked = [study.ask(BOX) for _ in range(4)]
    wants = [REQUEST in study._storage.get_trial(trial._trial_id).system_attrs for trial in asked]
    assert wants == [False, True, True, False]


def test_costs_are_those_of_the_share() -> None:
    study = study_of("gradient", replace(SHAPE, gradient_share=0.25))
    costs = [cost_of(study._storage.get_trial(study.ask(BOX)._trial_id).system_attrs) for _ in range(2)]
    assert costs == pytest.approx([1.0, 1.5])


def test_a_resumed_study_proposes_what_an_uninterrupted_one_does() -> None:
    """Nothing that the sampler keeps is more than what the trials say."""
    whole, resumed = study_of("gradient"), study_of("gradient")
    spend(whole, 45)
    spend(resumed, 25)
    resumed.sampler = TrialSeededSampler(type(SAMPLERS["gradient"])(), 0, SHAPE, BOX)
    spend(resumed, 40)
    assert [trial.params for trial in resumed.trials] == [trial.params for trial in whole.trials][: len(resumed.trials)]


def test_many_workers_are_sent_to_different_places() -> None:
    study = study_of("gradient")
    spend(study, 30)
    asked = [np.array(list(study.ask(BOX).params.values())) for _ in range(4)]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(asked) for b in asked[:i]]
    assert min(apart) > 0.02


def test_estimates_of_stopped_races_are_no_knowledge() -> None:
    """Values far above the front that are marked as estimates change no proposal."""
    with_estimate, without = study_of("gradient"), study_of("gradient")
    for study in (with_estimate, without):
        spend(study, 12)
        trial = study.ask(BOX)
        if study is with_estimate:
            trial.set_user_attr("share", 0.5)
            study.tell(trial, [1e3, 1e3])
        else:
            study.tell(trial, state=TrialState.FAIL)
    assert with_estimate.ask(BOX).params == without.ask(BOX).params
