"""Trials as the front, the plots and the exports read them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.trial import TrialState, create_trial

from service.studies import FinishedTrial, reference_point, saved_evaluations
from service.studies.finished_trials import attributes_of, read_finished
from workers.evaluation import Evaluation, FailureReason, Score


def trial(number: int, *values: float, landmark: str = "") -> FinishedTrial:
    errors = (None,) * len(values)
    return FinishedTrial(number, {}, values, errors, landmark, 0.0, 0.0, "" if values else "timeout")


def test_a_trial_is_called_by_its_landmark_or_number() -> None:
    assert [trial(4, 1.0).label, trial(4, 1.0, landmark="base").label] == ["trial 4", "base"]


def test_only_finished_trials_are_read() -> None:
    states = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING)
    trials = [create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None) for state in states]
    assert [(t.values, t.failure) for t in read_finished(trials)] == [((1.0,), ""), ((), "unknown")]


def test_attributes_of_a_success_follow_the_objectives() -> None:
    scores = {"b": Score(0.5, 0.1, 3, ()), "a": Score(0.25, None, 1, ()), "report": Score(9.0, 9.0, 9, ())}
    attributes = attributes_of(Evaluation(scores, make_s=1.23456789, score_s=2.0), ("a", "b"))
    assert attributes == {"make_s": 1.234568, "score_s": 2.0, "standard_errors": [None, 0.1], "n_examples": [1, 3]}


def test_attributes_of_a_stopped_candidate_tell_its_share() -> None:
    stopped = Evaluation({"a": Score(0.5, 0.1, 24, ())}, share=0.25)
    attributes = attributes_of(stopped, ("a",))
    assert attributes["share"] == 0.25
    [read] = read_finished([create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs=attributes)])
    assert (read.share, read.was_stopped, read.standard_errors) == (0.25, True, (0.1,))


def test_what_was_not_scored_was_saved() -> None:
    trials = [trial(0, 1.0), trial(1), replace(trial(2, 0.5), share=0.25), replace(trial(3, 0.5), share=0.5)]
    assert [t.was_stopped for t in trials] == [False, False, True, True]
    assert saved_evaluations(trials) == 1.25


def test_attributes_of_a_failure_say_why() -> None:
    attributes = attributes_of(Evaluation(failure=FailureReason.TIMEOUT, message="too late"), ("a",))
    assert attributes == {"make_s": 0.0, "score_s": 0.0, "failure": "timeout", "failure_message": "too late"}


def test_the_reference_lies_a_tenth_below_the_worst_landmark() -> None:
    trials = [trial(0, 0.0, 2.0, landmark="base"), trial(1, 1.0, 0.0, landmark="expert"), trial(2, -9.0, -9.0)]
    assert reference_point(trials, 2) == pytest.approx((-0.1, -0.2))


def test_the_reference_stands_below_landmarks_that_are_equal() -> None:
    trials = [trial(0, 0.5, 0.0, landmark="base"), trial(1, 0.5, 1.0, landmark="expert")]
    assert reference_point(trials, 2) == pytest.approx((0.4, -0.1))


def test_without_landmarks_the_first_trials_stand_in() -> None:
    trials = [trial(i, float(i), 0.0) for i in range(10)]
    later = [*trials, trial(10, -100.0, -100.0)]
    assert reference_point(later, 2) == reference_point(trials, 2) == pytest.approx((-0.9, -0.1))


def test_without_trials_the_reference_is_the_origin() -> None:
    assert reference_point([trial(0)], 3) == (0.0, 0.0, 0.0)
