"""What every sampler must do: one test each, over all that are registered."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler

REPOSITORY = Path(__file__).parents[3]
Params = dict[str, float]

# Enough for every sampler to leave its start-up; the GP, whose start-up is one trial then, needs a second for each.
N_TRIALS = {name: 4 if name == "gp" else 24 for name in SAMPLERS}

every_sampler = pytest.mark.parametrize("name", list(SAMPLERS))


def box(n_dims: int) -> dict[str, BaseDistribution]:
    # Two-digit numbers: sorted by name, they are not in order.
    return {f"expert/layer.{i}/weight": FloatDistribution(-0.5 * (i % 3), 1.5) for i in range(n_dims)}


def sampler_of(name: str, seed: int = 0, n_dims: int = 3, n_objectives: int = 2) -> TrialSeededSampler:
    shape = SearchShape(n_dims, n_objectives, N_TRIALS[name])
    return TrialSeededSampler(SAMPLERS[name], seed, shape, box(n_dims))


def new_study(n_objectives: int = 2) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=["maximize"] * n_objectives)


def values_of(params: Mapping[str, float], n_objectives: int) -> list[float]:
    """Each objective wants another corner of the box."""
    return [-math.fsum((value - target) ** 2 for value in params.values()) for target in range(n_objectives)]


def drive(study: optuna.Study, sampler: TrialSeededSampler, n_trials: int, failed: Sequence[int] = ()) -> None:
    study.sampler = sampler
    n_dims = len(sampler.infer_relative_search_space(study, optuna.trial.create_trial(values=[0.0])))
    for _ in range(n_trials):
        trial = study.ask(box(n_dims))
        if trial.number in failed:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values_of(trial.params, len(study.directions)))


@cache
def proposals(name: str, seed: int = 0, n_dims: int = 3, n_objectives: int = 2) -> list[Params]:
    study = new_study(n_objectives)
    drive(study, sampler_of(name, seed, n_dims, n_objectives), N_TRIALS[name])
    return [trial.params for trial in study.trials]


@every_sampler
@pytest.mark.parametrize("n_dims", [1, 3, 12])
def test_stays_within_the_bounds(name: str, n_dims: int) -> None:
    for params in proposals(name, n_dims=n_dims):
        assert params.keys() == box(n_dims).keys()
        assert all(box(n_dims)[key]._contains(value) for key, value in params.items())


@every_sampler
@pytest.mark.parametrize("n_objectives", [1, 3])
def test_takes_any_number_of_objectives(name: str, n_objectives: int) -> None:
    assert len(proposals(name, n_objectives=n_objectives)) == N_TRIALS[name]


@every_sampler
def test_repeats_itself_under_a_seed(name: str) -> None:
    assert proposals(name) == proposals.__wrapped__(name)


@every_sampler
def test_differs_under_another_seed_if_it_is_random(name: str) -> None:
    pairs = zip(proposals(name, seed=0), proposals(name, seed=1), strict=True)
    assert all((one != other) == SAMPLERS[name].is_random for one, other in pairs)


@every_sampler
def test_never_proposes_the_same_twice(name: str) -> None:
    assert len({tuple(params.values()) for params in proposals(name)}) == N_TRIALS[name]


@every_sampler
@pytest.mark.parametrize("failed", [(), (0, 3, 4)])
def test_resumed_is_uninterrupted(name: str, failed: tuple[int, ...]) -> None:
    whole, resumed = new_study(), new_study()
    half = N_TRIALS[name] // 2
    drive(whole, sampler_of(name), 2 * half, failed)
    drive(resumed, sampler_of(name), half, failed)
    drive(resumed, sampler_of(name), half, failed)
    assert [trial.params for trial in resumed.trials] == [trial.params for trial in whole.trials]


@every_sampler
def test_takes_the_space_in_any_order(name: str) -> None:
    shape = SearchShape(12, 2, N_TRIALS[name])
    backwards = TrialSeededSampler(SAMPLERS[name], 0, shape, dict(reversed(box(12).items())))
    study = new_study()
    drive(study, backwards, N_TRIALS[name])
    assert [trial.params for trial in study.trials] == proposals(name, n_dims=12)


@every_sampler
def test_survives_failures_only(name: str) -> None:
    study = new_study()
    drive(study, sampler_of(name), N_TRIALS[name], failed=range(N_TRIALS[name]))
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}


@every_sampler
def test_hands_out_what_waits_first(name: str) -> None:
    study = new_study()
    landmarks = [dict.fromkeys(box(3), weight) for weight in (0.0, 1.0, 0.5)]
    for landmark in landmarks:
        study.enqueue_trial(dict(landmark))
    drive(study, sampler_of(name), N_TRIALS[name])
    assert [trial.params for trial in study.trials[:3]] == landmarks
    assert study.trials[3].params not in landmarks


@every_sampler
def test_gives_workers_different_candidates(name: str) -> None:
    study = new_study()
    drive(study, sampler_of(name), N_TRIALS[name] // 2)
    asked = [tuple(study.ask(box(3)).params.values()) for _ in range(3)]
    assert len(set(asked)) == 3


def test_the_same_in_a_fresh_process() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_contract; test_contract.main()"
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=True, text=True)
    assert json.loads(answer.stdout) == {name: proposals(name) for name in SAMPLERS}


def main() -> None:
    print(json.dumps({name: proposals(name) for name in SAMPLERS}))


@every_sampler
def test_says_where_it_comes_from(name: str) -> None:
    assert SAMPLERS[name].name == name
    assert any(character.isdigit() for character in SAMPLERS[name].reference)
