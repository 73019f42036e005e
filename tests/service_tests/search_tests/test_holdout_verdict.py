"""What a search ends with: its front and its landmarks, scored on examples that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from service.search import PreparedSearch, SearchLoop
from service.search.holdout_verdict import HoldoutVerdict
from service.search.selection import front_of
from service.search.session import SearchSession, open_session
from workers.evaluation import Assignment

HELD_OUT = {"alignment@holdout", "expertise@holdout"}


@pytest.fixture
def session(database: str, prepare: Callable[..., PreparedSearch]) -> Iterator[SearchSession]:
    with open_session(prepare(search={"evaluations": 24, "sampler": "nsga2"})) as session:
        yield session


def test_front_and_landmarks_are_scored(session: SearchSession, make_pool: Callable[..., Any]) -> None:
    trials = session.run(lambda _: None, make_pool(3))
    expected = {t.number for t in trials if t.landmark} | {t.number for t in front_of(trials)}
    scored = {number for number, scores in session.study.scores().items() if scores.keys() >= HELD_OUT}
    assert scored == expected
    assert len(expected) < len(trials)


def test_the_search_sees_none_of_it(session: SearchSession, make_pool: Callable[..., Any]) -> None:
    pool = make_pool()
    trials = session.run(lambda _: None, pool)
    assert pool.submitted[: len(trials)] == list(range(24))
    assert [len(trial.values) for trial in trials] == [2] * 24


def test_what_is_scored_is_not_scored_again(session: SearchSession, make_pool: Callable[..., Any]) -> None:
    session.run(lambda _: None, make_pool(2))
    assert HoldoutVerdict(session.prepared, session.study).waiting() == []
    again = make_pool()
    session.run(lambda _: None, again)
    assert again.submitted == []


def test_a_failure_leaves_the_others_their_scores(session: SearchSession, make_pool: Callable[..., Any]) -> None:
    session.run(lambda _: None, make_pool(2, fails_at=(1,)))
    # Ticket 1 is the trial that failed in the search, and so is no candidate for the verdict.
    scores = session.study.scores()
    assert 1 not in scores
    assert all(scores[number].keys() >= HELD_OUT for number in (0, 2))


def test_without_held_out_examples_no_stored_score_is_touched(
    session: SearchSession, make_pool: Callable[..., Any]
) -> None:
    """A worker may have a trial still, of which another driver has told."""
    session.run(lambda _: None, make_pool(3))
    objectives = session.prepared.objectives
    measures = {name: session.prepared.measures[name] for name in objectives}
    stored, left = session.study.scores(), make_pool()
    recipe = session.prepared.recipe(session.study.finished_trials()[0].params)
    left.submit(5, Assignment(recipe, objectives))
    HoldoutVerdict(replace(session.prepared, measures=measures), session.study).run(left)
    assert session.study.scores() == stored


def test_what_workers_have_still_is_scored_once(session: SearchSession, make_pool: Callable[..., Any]) -> None:
    SearchLoop(session.prepared, session.study, make_pool(3)).run()
    verdict, pool = HoldoutVerdict(session.prepared, session.study), make_pool()
    expected = [trial.number for trial in verdict.waiting()]
    left = session.study.finished_trials()[expected[-1]]
    pool.submit(left.number, Assignment(session.prepared.recipe(left.params), session.prepared.holdout_measures))
    told: list[None] = []
    verdict.run(pool, on_score=lambda: told.append(None))
    assert sorted(pool.submitted) == expected
    assert len(told) == len(expected)
