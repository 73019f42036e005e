"""What a search ends with: its front and its landmarks, scored on examples that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.search import PreparedSearch
from service.search.holdout_verdict import HoldoutVerdict
from service.search.selection import front_of
from service.search.session import SearchSession, open_session

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
