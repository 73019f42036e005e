"""What trials cost, as readers of a study see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from service.api.schemas import HypervolumeHistory, Points, Trial
from service.api.search_answers import TrialCounts, count_trials
from service.client.remote_study import finished_trial
from service.client.search_progress import RemoteProgress
from service.search import PreparedSearch, prepare_search
from service.studies import SearchStudy
from service.study_views import StudyViews
from service.study_views.rendering import front_body, hypervolume_body, points_body, trial_json
from workers.evaluation import Evaluation, Score

OBJECTIVES = ("alignment", "expertise")


@pytest.fixture
def prepared(prepared: PreparedSearch) -> PreparedSearch:
    """Gradients of half of each set for 9 evaluations: four trials that cost 2, and a plain one.

    Without landmarks, of which models alone are scored without gradients.
    """
    given = prepared.specification
    changes = {"sampler": "gradient", "evaluations": 9, "gradient_share": 0.5, "landmarks": False}
    search = given.search.model_copy(update=changes)
    return prepare_search(given.model_copy(update={"search": search}))


def test_readers_count_evaluations(
    study: SearchStudy, tell: Callable[..., int], views: StudyViews, prepared: PreparedSearch, engine: Engine
) -> None:
    for n in range(4):
        tell(0.1 * n, 0.1 * n)
    tell()
    view = views.glance(prepared.specification.name)
    assert [trial.cost for trial in view.trials] == [trial.cost for trial in study.finished_trials()] == [2] * 4 + [1]
    assert count_trials(engine, [view.name]) == {view.name: TrialCounts(finished=5, failed=1, running=0, spent=9)}
    front = json.loads(front_body(view, "search", ()))
    assert (front["finished"], front["spent_evaluations"]) == (5, 9)
    history = HypervolumeHistory.model_validate_json(hypervolume_body(view))
    assert (history.n_finished, history.spent_evaluations) == (5, 9)
    assert [step.spent_evaluations for step in history.steps] == [2 * step.n_finished for step in history.steps]


def test_readers_see_which_gradients_are_missing(
    study: SearchStudy, views: StudyViews, prepared: PreparedSearch
) -> None:
    score = Score(0.5, None, 4, ())
    for failure in ("", "not finite in 'alignment'"):
        asked = study.ask()
        assert asked is not None
        assert study.tell(asked.number, Evaluation(dict.fromkeys(OBJECTIVES, score), gradient_failure=failure))
    found = [trial_json(trial, OBJECTIVES) for trial in views.glance(prepared.specification.name).trials]
    assert [trial["gradient_failure"] for trial in found] == [None, "not finite in 'alignment'"]
    told = [finished_trial(Trial.model_validate(trial), OBJECTIVES) for trial in found]
    assert told == [replace(trial, params={}) for trial in study.finished_trials()]


def test_a_watcher_elsewhere_counts_the_same(study: SearchStudy, tell: Callable[..., int]) -> None:
    for n in range(5):
        tell(0.1 * n, 0.1 * n)
    trials = study.finished_trials()
    points = Points.model_validate_json(points_body(OBJECTIVES, trials, reset=True))
    steps = list(RemoteProgress(OBJECTIVES, 9, 0).take(points))
    assert [(step.n_finished, step.spent) for step in steps] == [(1, 2), (2, 4), (3, 6), (4, 8), (5, 9)]
    assert [step.is_last for step in steps] == [False] * 4 + [True]
    plain = Points.model_validate_json(points_body(OBJECTIVES, trials[4:], reset=True))
    assert plain.costs is None
