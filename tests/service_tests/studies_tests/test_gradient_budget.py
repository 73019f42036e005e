"""The budget counts evaluation-equivalents: never more than it has, whoever asks, and never too little to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import FrozenTrial
from sqlalchemy import Engine

from service.database.connection import connect
from service.studies import AskedTrial, Driver, SearchStudy
from service.studies.trial_cost import COST, REQUEST, cost_of
from workers.evaluation import Evaluation, FailureReason, GradientRequest

OpenStudy = Callable[..., SearchStudy]
MakeEvaluation = Callable[..., Evaluation]
Query = Callable[..., list[tuple[Any, ...]]]
ReadPlainly = Callable[[], list[FrozenTrial]]

LANDMARKS = {name: {"expert/layer.0/weight": w, "expert/layer.1/weight": w} for name, w in {"a": 0.2, "b": 1.0}.items()}


def ask(study: SearchStudy) -> AskedTrial:
    trial = study.ask()
    assert trial is not None
    return trial


def finish(study: SearchStudy, make: MakeEvaluation) -> list[AskedTrial]:
    """Ask and tell until the budget has no room."""
    asked = []
    while trial := study.ask():
        asked.append(trial)
        assert study.tell(trial.number, make())
    return asked


def costs(trials: list[FrozenTrial]) -> list[float]:
    return [cost_of(trial.system_attrs) for trial in trials]


@pytest.mark.parametrize(("budget", "expected"), [(2, [1, 1]), (3, [3]), (8, [3, 3, 1, 1]), (9, [3, 3, 3])])
def test_what_no_longer_fits_falls_back_to_a_plain_trial(
    budget: int,
    expected: list[float],
    open_study: OpenStudy,
    driver: Driver,
    evaluation: MakeEvaluation,
    read_plainly: ReadPlainly,
) -> None:
    study = open_study(driver, sampler="gradient", budget=budget)
    asked = finish(study, evaluation)
    assert costs(read_plainly()) == costs(study._study.trials) == expected
    assert [trial.cost for trial in study.finished_trials()] == expected
    assert [trial.gradient is not None for trial in asked] == [cost > 1 for cost in expected]
    assert [REQUEST in trial.system_attrs for trial in read_plainly()] == [cost > 1 for cost in expected]
    assert (study.spent, study.is_finished) == (budget, True)


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3, 0.77])
def test_fractions_leave_less_than_one_evaluation(
    share: float, open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation
) -> None:
    study = open_study(driver, sampler="gradient", budget=10, share=share)
    finish(study, evaluation)
    assert 9 < study.spent <= 10 + 1e-6
    assert study.is_finished


def test_landmarks_and_failures_cost_what_was_asked_for(
    open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation
) -> None:
    study = open_study(driver, sampler="gradient", budget=9, landmarks=LANDMARKS)
    assert study.tell(ask(study).number, Evaluation(failure=FailureReason.TIMEOUT))
    finish(study, evaluation)
    assert [(trial.landmark, trial.cost) for trial in study.finished_trials()] == [("a", 3), ("b", 3), ("", 3)]


def test_a_request_names_what_can_be_differentiated(open_study: OpenStudy, driver: Driver) -> None:
    study = open_study(driver, sampler="gradient", budget=9, share=0.5)
    assert [ask(study).gradient for _ in range(2)] == [GradientRequest(("alignment",), 0.5, seed) for seed in (0, 1)]


def test_drivers_in_turn_share_one_budget(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, evaluation: MakeEvaluation, read_plainly: ReadPlainly
) -> None:
    studies = [open_study(one, sampler="gradient", budget=17) for one in (driver, other_driver)]
    running: list[tuple[SearchStudy, int]] = []
    while trials := [(study, trial.number) for study in studies if (trial := study.ask())]:
        running += trials
        study, number = running.pop(0)
        assert study.tell(number, evaluation())
    assert sum(costs(read_plainly())) == 17
    for study, number in running:
        assert study.tell(number, evaluation())
    assert all(study.ask() is None for study in studies)
    for study in studies:
        study.requeue_orphans()
        assert (study.spent, study.is_finished) == (17, True)


def test_drivers_that_race_keep_to_the_budget(
    open_study: OpenStudy, database_url: str, evaluation: MakeEvaluation, read_plainly: ReadPlainly
) -> None:
    def drive() -> None:
        engine = connect(database_url)
        with Driver(engine) as one:
            finish(open_study(one, sampler="gradient", budget=31, share=0.75), evaluation)
        engine.dispose()

    threads = [threading.Thread(target=drive) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 30 < sum(costs(read_plainly())) <= 31


def test_a_plain_study_counts_its_trials(open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation) -> None:
    study = open_study(driver, budget=4)
    assert all(trial.gradient is None for trial in finish(study, evaluation))
    assert study.spent == study.n_finished == 4


def test_what_waits_costs_nothing_and_is_asked_for_anew(
    open_study: OpenStudy, engine: Engine, driver: Driver, evaluation: MakeEvaluation
) -> None:
    with Driver(engine) as ended:
        lost = [ask(open_study(ended, sampler="gradient", budget=7)) for _ in range(2)]
    study = open_study(driver, sampler="gradient", budget=7)
    assert [ask(study) for _ in range(2)] == lost
    assert ask(study).gradient is None  # of the 7, one is left
    assert study.ask() is None


def test_an_orphan_is_plain_under_a_sampler_without_gradients(
    open_study: OpenStudy, engine: Engine, driver: Driver, evaluation: MakeEvaluation, read_plainly: ReadPlainly
) -> None:
    with Driver(engine) as ended:
        lost = ask(open_study(ended, sampler="gradient", budget=7))
    study = open_study(driver, sampler="random", budget=7)
    again = ask(study)
    assert (again.number, again.params, again.gradient) == (lost.number, lost.params, None)
    assert not {COST, REQUEST} & read_plainly()[0].system_attrs.keys()
    finish(study, evaluation)
    assert costs(read_plainly()) == [1] * 7


def test_what_is_taken_back_costs_what_it_did(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, read_plainly: ReadPlainly
) -> None:
    lost = ask(open_study(driver, sampler="gradient", budget=7))
    driver.close()
    assert open_study(other_driver, sampler="gradient", budget=7).take_back(lost.number)
    assert costs(read_plainly()) == [3]


def test_what_is_taken_back_too_late_is_plain(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, query: Query, read_plainly: ReadPlainly
) -> None:
    lost = ask(open_study(driver, sampler="gradient", budget=4))
    driver.close()
    study = open_study(other_driver, sampler="gradient", budget=4)
    # Another search's worth of trials, as a third driver would have started them meanwhile.
    query(
        "INSERT INTO trials (number, study_id, state) SELECT 1 + n, :study, 'RUNNING' FROM generate_series(0, 2) n",
        study=study._study_id,
    )
    assert study.take_back(lost.number)
    assert costs(read_plainly()) == costs(study._study.trials)[:1] + [1] * 3 == [1] * 4


def test_nothing_is_taken_back_beyond_the_budget(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, query: Query, read_plainly: ReadPlainly
) -> None:
    lost = ask(open_study(driver, sampler="gradient", budget=3))
    driver.close()
    study = open_study(other_driver, sampler="gradient", budget=3)
    query(
        "INSERT INTO trials (number, study_id, state) SELECT 1 + n, :study, 'RUNNING' FROM generate_series(0, 2) n",
        study=study._study_id,
    )
    assert not study.take_back(lost.number)
    assert not read_plainly()[0].state.is_finished()


@pytest.mark.parametrize("n_lost", [1, 2, 3])
def test_lost_drivers_leave_no_search_that_cannot_end(
    n_lost: int, open_study: OpenStudy, engine: Engine, driver: Driver, evaluation: MakeEvaluation
) -> None:
    with Driver(engine) as ended:
        lost = [ask(open_study(ended, sampler="gradient", budget=8, share=0.8)).number for _ in range(n_lost)]
    study = open_study(driver, sampler="gradient", budget=8, share=0.8)
    finish(study, evaluation)
    assert {trial.number for trial in study.finished_trials()} >= set(lost)
    assert study.is_finished
    assert 7 < study.spent <= 8 + 1e-6


def test_a_larger_budget_continues(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, evaluation: MakeEvaluation
) -> None:
    finish(open_study(driver, sampler="gradient", budget=4), evaluation)
    study = open_study(other_driver, sampler="gradient", budget=10)
    assert not study.is_finished
    finish(study, evaluation)
    assert [trial.cost for trial in study.finished_trials()] == [3, 1, 3, 3]
