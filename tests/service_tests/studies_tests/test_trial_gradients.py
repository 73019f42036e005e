"""Gradients on their way into the database and out of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from service.studies import AskedTrial, Driver, SearchStudy
from service.studies.trial_gradients import GRADIENTS
from workers.evaluation import Evaluation, FailureReason

OpenStudy = Callable[..., SearchStudy]
MakeEvaluation = Callable[..., Evaluation]
REPOSITORY = Path(__file__).parents[3]

LAYERS = {"layer.0": {"weight": 1 / 3, "density": 9.0}, "layer.1": {"weight": -2e-9}}
FOUND = {"alignment": {"expert": LAYERS, "*": {"layer.0": {"lambda": 4.0}}}}
READ = """
import json, optuna, sys
study = optuna.load_study(study_name=sys.argv[1], storage=sys.argv[2])
print(json.dumps(study.trials[0].system_attrs["paretomerge:gradients"]))
"""


def ask(study: SearchStudy) -> AskedTrial:
    trial = study.ask()
    assert trial is not None
    return trial


def attributes(study: SearchStudy, number: int = 0) -> dict[str, Any]:
    return study._study.trials[number].system_attrs


def test_a_second_process_reads_what_was_told(
    open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation, database_url: str, study_name: str
) -> None:
    study = open_study(driver, sampler="gradient", budget=4)
    assert study.tell(ask(study).number, replace(evaluation(), gradients=FOUND))
    command = [sys.executable, "-c", READ, study_name, database_url]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True)
    assert json.loads(answer.stdout) == attributes(study)[GRADIENTS]


def test_gradients_are_those_of_searched_parameters(
    open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation
) -> None:
    study = open_study(driver, sampler="gradient", budget=4)
    trial = ask(study)
    assert study.tell(trial.number, replace(evaluation(), gradients=FOUND))
    [found] = attributes(study)[GRADIENTS].values()
    assert found.keys() == trial.params.keys()
    expected = {f"expert/{layer}/weight": values["weight"] for layer, values in LAYERS.items()}
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_plain_trial_keeps_none(open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation) -> None:
    study = open_study(driver, budget=4)
    assert study.tell(ask(study).number, replace(evaluation(), gradients=FOUND))
    assert GRADIENTS not in attributes(study)


def test_scores_stay_where_gradients_failed(
    open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation, read_plainly: Callable[[], list[FrozenTrial]]
) -> None:
    study = open_study(driver, sampler="gradient", budget=4)
    assert study.tell(ask(study).number, replace(evaluation(), gradient_failure="not finite in 'alignment'"))
    [stored] = read_plainly()
    assert (stored.values, stored.user_attrs["gradient_failure"]) == ([0.5, 0.5], "not finite in 'alignment'")
    assert GRADIENTS not in stored.system_attrs


def test_a_failure_has_no_gradients(open_study: OpenStudy, driver: Driver) -> None:
    study = open_study(driver, sampler="gradient", budget=4)
    assert study.tell(ask(study).number, Evaluation(failure=FailureReason.TIMEOUT))
    assert GRADIENTS not in attributes(study)
    assert study.spent == 3
