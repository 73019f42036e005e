"""Generations that are kept: the trials are Optuna's own, and no finished trial is looked at twice."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler
from optuna.samplers.nsgaii import SBXCrossover
from optuna.trial import TrialState

from service.samplers import Nsga2, Nsga3, Sampler, SearchShape, TrialSeededSampler
from service.samplers.generations import GenerationalSampler
from service.samplers.trial_news import TrialNews

SPACE: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(4)}
SHAPE = SearchShape(4, 2, 120, n_workers=6)
POPULATION = 12


class Optunas(Sampler):
    """As Optuna builds it."""

    def __init__(self, kind: type[BaseSampler]) -> None:
        self._kind: Any = kind

    def build(self, seed: int, shape: SearchShape) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return self._kind(seed=seed, population_size=POPULATION, crossover=SBXCrossover())  # type: ignore[no-any-return]


def search(*samplers: Sampler, n_trials: int = 120) -> optuna.Study:
    """Six workers, the last of which are the fastest; one candidate in eleven fails; samplers take turns."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, running = optuna.create_study(directions=["maximize"] * 2), list[optuna.Trial]()
    for number in range(n_trials):
        study.sampler = TrialSeededSampler(samplers[number * len(samplers) // n_trials], 0, SHAPE, SPACE)
        running.append(study.ask(SPACE))
        if len(running) == 6:
            trial = running.pop(number % 5)
            if number % 11 == 5:
                study.tell(trial, state=TrialState.FAIL)
            else:
                values = list(trial.params.values())
                study.tell(trial, [sum(values[:2]) - values[2] ** 2, sum(values[2:]) - values[0] ** 2])
    return study


@pytest.mark.parametrize(("ours", "theirs"), [(Nsga2, NSGAIISampler), (Nsga3, NSGAIIISampler)])
def test_trials_are_optunas(ours: type[Sampler], theirs: type[BaseSampler], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nsga2", "nsga3"):
        monkeypatch.setattr(f"service.samplers.{name}.population_size", lambda _: POPULATION)
    expected = search(Optunas(theirs))
    generations = {trial.system_attrs.get(f"{theirs.__name__}:generation") for trial in expected.trials}
    assert max(generation or 0 for generation in generations) > 5
    # The second half by another process, which has nothing but the trials; or by Optuna's own.
    for samplers in ([ours()], [ours(), ours()], [ours(), Optunas(theirs)]):
        study = search(*samplers)
        assert [trial.params for trial in study.trials] == [trial.params for trial in expected.trials]
        assert study._storage.get_study_system_attrs(0) == expected._storage.get_study_system_attrs(0)


def test_news_are_read_once() -> None:
    study, news = optuna.create_study(), TrialNews()
    trials = [study.ask() for _ in range(4)]
    study.tell(trials[2], 1.0)
    study.tell(trials[0], state=TrialState.FAIL)
    complete, running = news.read(study)
    assert [[trial.number for trial in each] for each in (complete, running)] == [[2], [1, 3]]
    study.tell(trials[1], 1.0)
    study.ask()
    complete, running = news.read(study)
    assert [[trial.number for trial in each] for each in (complete, running)] == [[1], [3, 4]]


def test_a_trial_may_be_learned_of_after_later_ones() -> None:
    """As where another driver makes one between this one's look at the study and its own trial."""
    study, news = optuna.create_study(), TrialNews()
    for value in (0.0, 1.0, 2.0, 3.0):
        study.tell(study.ask(), value)
    trials = study.trials
    for known, found in (([0, 2], [0, 2]), ([0, 2], []), ([0, 1, 2], [1]), ([0, 1, 2, 3], [3])):
        seen = SimpleNamespace(get_trials=lambda deepcopy, known=known: [trials[number] for number in known])
        assert [trial.number for trial in news.read(cast(optuna.Study, seen))[0]] == found


@pytest.mark.parametrize("n_complete", [0, 1, 5])
def test_parents_that_another_driver_has_named_may_still_run_here(n_complete: int) -> None:
    study = search(Nsga2(), n_trials=60)
    sampler = Nsga2().build(0, SHAPE)
    assert isinstance(sampler, GenerationalSampler)
    ids = {state: [each._trial_id for each in study.trials if each.state == state] for state in TrialState}
    named = ids[TrialState.RUNNING] + ids[TrialState.COMPLETE][:n_complete]
    study._storage.set_study_system_attr(0, "NSGAIISampler:parent:99", named)
    known = sampler.get_parent_population(study, 99)
    assert [trial._trial_id for trial in known] == (ids[TrialState.COMPLETE][:n_complete] if n_complete > 1 else [])
    for trial_id in ids[TrialState.RUNNING]:
        study.tell(trial_id, [0.5, 0.5])
    for _ in range(2):
        assert [trial._trial_id for trial in sampler.get_parent_population(study, 99)] == sorted(named)
