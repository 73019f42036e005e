"""Scores by example, beside Optuna's trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from service.studies import Driver, SearchStudy, load_study
from service.studies.score_table import read_scores, read_trial_scores
from workers.evaluation import Evaluation, FailureReason, Score


@pytest.fixture
def told(open_study: Callable[..., SearchStudy], driver: Driver, evaluation: Callable[..., Evaluation]) -> SearchStudy:
    """A study with one result."""
    study = open_study(driver)
    trial = study.ask()
    assert trial is not None
    study.tell(trial.number, evaluation(0.25, 0.75))
    return study


def test_a_result_keeps_its_examples(told: SearchStudy, engine: Engine, study_name: str) -> None:
    stored = read_trial_scores(engine, study_name, 0)
    assert stored == {"alignment": Score(0.25, 0.1, 8, (0.25,) * 8), "expertise": Score(0.75, 0.1, 8, (0.75,) * 8)}


def test_an_overview_leaves_the_examples_out(told: SearchStudy, engine: Engine, study_name: str) -> None:
    assert read_scores(engine, study_name) == {
        0: {"alignment": Score(0.25, 0.1, 8, ()), "expertise": Score(0.75, 0.1, 8, ())}
    }
    assert load_study(engine, study_name).scores == told.scores()


def test_scores_can_be_added_and_replaced(told: SearchStudy, engine: Engine, study_name: str) -> None:
    for value in (0.1, 0.2):
        told.add_scores(0, {"alignment@holdout": Score(value, None, 1, (value,))})
    stored = read_trial_scores(engine, study_name, 0)
    assert stored["alignment@holdout"] == Score(0.2, None, 1, (0.2,))
    assert len(stored) == 3


def test_a_failure_has_no_scores(
    open_study: Callable[..., SearchStudy], driver: Driver, engine: Engine, study_name: str
) -> None:
    study = open_study(driver)
    trial = study.ask()
    assert trial is not None
    study.tell(trial.number, Evaluation(failure=FailureReason.TIMEOUT, message="late"))
    assert read_scores(engine, study_name) == {}


def test_estimates_are_not_stored_as_scores(
    open_study: Callable[..., SearchStudy], driver: Driver, evaluation: Callable[..., Evaluation]
) -> None:
    study = open_study(driver)
    for share in (0.25, 1.0):
        trial = study.ask()
        assert trial is not None
        study.tell(trial.number, replace(evaluation(), share=share))
    assert [trial.share for trial in study.finished_trials()] == [0.25, 1.0]
    assert study.scores().keys() == {1}
    assert (study.trial_scores(0), study.trial_scores(1)) == ({}, dict(evaluation().scores))


def test_scores_go_with_their_trial(
    told: SearchStudy, engine: Engine, study_name: str, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    [(trial,)] = query("SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = :s", s=study_name)
    for table in ("trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes", "trials"):
        query(f"DELETE FROM {table} WHERE trial_id = :trial", trial=trial)
    assert query("SELECT * FROM paretomerge_scores WHERE trial_id = :trial", trial=trial) == []
