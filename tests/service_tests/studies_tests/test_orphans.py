"""Drivers that die, sleep or fall silent: no evaluation is lost, none counts twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, text

from service.studies import AskedTrial, Driver, SearchStudy
from workers.evaluation import Evaluation

OpenStudy = Callable[..., SearchStudy]
MakeEvaluation = Callable[..., Evaluation]
Query = Callable[..., list[tuple[Any, ...]]]

REPOSITORY = Path(__file__).parents[3]
# A driver as another process: asks twice, tells the first, says what it has, and waits for its end.
DRIVER = """
import json, sys, time
from service.database.connection import connect
from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.studies import Driver, SearchStudy, StudyIdentity, StudyPlan
from optuna.distributions import FloatDistribution
from workers.evaluation import Evaluation, FailureReason

url, name = sys.argv[1:]
space = {f"expert/layer.{i}/weight": FloatDistribution(0.0, 1.5) for i in range(2)}
sampler = TrialSeededSampler(SAMPLERS["random"], 0, SearchShape(2, 2, 10), space)
engine = connect(url)
identity = StudyIdentity(name, ("alignment", "expertise"), {}, {"name": name})
study = SearchStudy(engine, Driver(engine), identity, StudyPlan(space, sampler, 10))
first, second = study.ask(), study.ask()
study.tell(first.number, Evaluation(failure=FailureReason.TIMEOUT))
print(json.dumps([second.number, dict(second.params)]), flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _no_renewal_and_a_short_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.studies.driver._LOOK_EVERY_S", 600.0)
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)


def ask(study: SearchStudy) -> AskedTrial:
    trial = study.ask()
    assert trial is not None
    return trial


def test_a_killed_process_loses_nothing(
    open_study: OpenStudy, driver: Driver, database_url: str, study_name: str, evaluation: MakeEvaluation
) -> None:
    command = [sys.executable, "-c", DRIVER, database_url, study_name]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number, params = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    study = open_study(driver)
    states = [trial.state for trial in study._study.trials]
    assert states == [TrialState.FAIL, TrialState.WAITING]
    again = ask(study)
    assert (again.number, again.params) == (number, params)
    assert study.tell(again.number, evaluation())
    assert ask(study).number == number + 1


def test_a_living_process_is_not_robbed(open_study: OpenStudy, driver: Driver, other_driver: Driver) -> None:
    running = ask(open_study(driver))
    other = open_study(other_driver)
    assert other.requeue_orphans() == 0
    assert ask(other).number == running.number + 1


def test_its_own_trials_are_not_orphans(
    open_study: OpenStudy, driver: Driver, expire_leases: Callable[[Driver], None]
) -> None:
    study = open_study(driver)
    ask(study)
    expire_leases(driver)
    assert study.requeue_orphans() == 0


def test_a_driver_that_has_ended_is_seen_at_once(open_study: OpenStudy, engine: Engine, driver: Driver) -> None:
    with Driver(engine) as ended:
        running = ask(open_study(ended, landmarks={"base": {"expert/layer.0/weight": 0.0}}))
    study = open_study(driver)
    again = ask(study)
    assert (again.number, again.params) == (running.number, running.params)


def test_a_landmark_keeps_its_name(
    open_study: OpenStudy, engine: Engine, driver: Driver, evaluation: MakeEvaluation
) -> None:
    with Driver(engine) as ended:
        ask(open_study(ended, landmarks={"base": dict.fromkeys(("expert/layer.0/weight", "expert/layer.1/weight"), 0)}))
    study = open_study(driver)
    study.tell(ask(study).number, evaluation())
    [trial] = study.finished_trials()
    assert (trial.landmark, set(trial.params.values())) == ("base", {0.0})


def test_a_trial_without_all_its_parameters_is_sampled_anew(
    open_study: OpenStudy, engine: Engine, driver: Driver, query: Query, study_name: str
) -> None:
    with Driver(engine) as ended:
        study = open_study(ended)
        number = study._study.ask(dict(study._plan.distributions)).number  # and dies before it writes them
    again = ask(open_study(driver))
    assert again.number == number
    assert len(again.params) == 2


def test_the_same_proposal_as_without_the_interruption(
    open_study: OpenStudy, engine: Engine, driver: Driver, query: Query
) -> None:
    with Driver(engine) as ended:
        study = open_study(ended)
        lost = study._study.ask(dict(study._plan.distributions))
    assert ask(open_study(driver)).params == lost.params


def test_an_expired_lease_passes_the_trial_on(
    open_study: OpenStudy,
    driver: Driver,
    other_driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: MakeEvaluation,
    read_plainly: Callable[[], list[FrozenTrial]],
) -> None:
    silent = open_study(driver)
    trial = ask(silent)
    expire_leases(driver)
    successor = open_study(other_driver)
    assert ask(successor) == trial
    assert not silent.tell(trial.number, evaluation(0.1, 0.1))
    assert read_plainly()[0].state == TrialState.RUNNING
    assert read_plainly()[0].user_attrs == {}
    assert successor.tell(trial.number, evaluation(0.9, 0.9))
    assert not silent.tell(trial.number, evaluation(0.1, 0.1))
    assert [t.values for t in read_plainly()] == [[0.9, 0.9]]


def test_several_lost_trials_are_all_told_in_vain(
    open_study: OpenStudy,
    driver: Driver,
    other_driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: MakeEvaluation,
) -> None:
    silent = open_study(driver)
    trials = [ask(silent) for _ in range(3)]
    expire_leases(driver)
    successor = open_study(other_driver)
    for trial in trials:
        assert ask(successor).number == trial.number
    assert [silent.tell(trial.number, evaluation()) for trial in trials] == [False] * 3
    assert silent.n_finished == 0


@pytest.mark.parametrize("finished", [False, True])
def test_a_silent_driver_that_learns_of_its_loss_first(
    finished: bool,
    open_study: OpenStudy,
    driver: Driver,
    other_driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: MakeEvaluation,
) -> None:
    silent = open_study(driver)
    trial = ask(silent)
    expire_leases(driver)
    successor = open_study(other_driver)
    ask(successor)
    if finished:
        successor.tell(trial.number, evaluation(0.9, 0.9))
    assert ask(silent).number == trial.number + 1  # and sees what the other has done
    assert not silent.tell(trial.number, evaluation(0.1, 0.1))
    assert [t.values for t in silent.finished_trials()] == [(0.9, 0.9)] * finished


def test_a_driver_may_take_up_what_it_has_lost(
    open_study: OpenStudy,
    driver: Driver,
    other_driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: MakeEvaluation,
) -> None:
    silent = open_study(driver)
    trial = ask(silent)
    expire_leases(driver)
    open_study(other_driver)  # lets it wait again, and asks for nothing
    assert ask(silent) == trial
    assert silent.tell(trial.number, evaluation())
    assert not silent.tell(trial.number, evaluation())  # the attempt from before
    assert [t.number for t in silent.finished_trials()] == [trial.number]


def test_running_trials_without_a_lease_wait_again(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, query: Query
) -> None:
    trial = ask(open_study(driver))
    query("DELETE FROM paretomerge_leases WHERE driver = :driver", driver=driver.name)
    assert ask(open_study(other_driver)) == trial


def test_two_successors_share_the_orphans(
    open_study: OpenStudy, engine: Engine, driver: Driver, other_driver: Driver
) -> None:
    with Driver(engine) as ended:
        study = open_study(ended)
        numbers = [ask(study).number for _ in range(2)]
    successors = [open_study(one) for one in (driver, other_driver)]
    assert [ask(successor).number for successor in successors] == numbers


def test_a_result_of_a_trial_that_waits_again_is_taken(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, evaluation: MakeEvaluation
) -> None:
    """Its driver lost the database, and its worker did not."""
    running = [ask(open_study(driver)), ask(open_study(driver))]
    driver.close()
    successor = open_study(other_driver)
    assert successor.tell(running[1].number, evaluation(0.25, 0.75))
    [told] = successor.finished_trials()
    assert (told.number, told.params, told.values) == (running[1].number, running[1].params, (0.25, 0.75))
    again = ask(successor)
    assert (again.number, again.params) == (running[0].number, running[0].params)
    assert ask(successor).number == 2


def test_a_trial_in_other_hands_is_left_alone(
    open_study: OpenStudy,
    driver: Driver,
    other_driver: Driver,
    evaluation: MakeEvaluation,
    read_plainly: Callable[[], list[FrozenTrial]],
) -> None:
    running = ask(open_study(driver))
    assert not open_study(other_driver).tell(running.number, evaluation())
    [stored] = read_plainly()
    assert (stored.state, stored.user_attrs) == (TrialState.RUNNING, {})


def test_a_trial_that_another_has_taken_meanwhile_is_not_taken_back(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, engine: Engine, evaluation: MakeEvaluation
) -> None:
    running = ask(open_study(driver))
    driver.close()
    study = open_study(other_driver)
    with Driver(engine) as third:
        ask(open_study(third))
        assert not study.tell(running.number, evaluation())


def test_a_result_that_is_told_while_its_trial_is_taken_up_is_whole(
    open_study: OpenStudy,
    engine: Engine,
    driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: MakeEvaluation,
    read_plainly: Callable[[], list[FrozenTrial]],
) -> None:
    with Driver(engine) as late:
        silent, successor = open_study(late), open_study(driver)
        trial = ask(silent)
        expire_leases(late)
        telling = threading.Thread(target=silent.tell, args=(trial.number, evaluation(0.25, 0.75)))
        taking = threading.Thread(target=successor.requeue_orphans)
        with engine.begin() as connection:
            # The result waits for this lock, and so does whoever takes the trial up.
            lock = "SELECT FROM trials WHERE study_id = :study FOR UPDATE"
            connection.execute(text(lock), {"study": silent._study_id})
            for thread in (telling, taking):
                thread.start()
                time.sleep(0.3)
        for thread in (telling, taking):
            thread.join()
    [stored] = read_plainly()
    assert (stored.state, stored.values, stored.params) == (TrialState.COMPLETE, [0.25, 0.75], trial.params)
