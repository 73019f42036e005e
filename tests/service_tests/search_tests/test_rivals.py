"""Whom a candidate races against."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.pareto import hypervolume
from service.search import PreparedSearch
from service.search.rivals import MAX_NUMBERS, MAX_RIVALS, RivalChoice, most_dominating
from service.studies import AskedTrial, FinishedTrial, SearchStudy
from workers.evaluation import Evaluation, FailureReason, Score

N = 96
ASKED = AskedTrial(99, {})
POINTS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=7)


def scores_of(alignment: float, expertise: float, n: int = N) -> dict[str, Score]:
    values = {"alignment": alignment, "expertise": expertise}
    return {name: Score(value, 0.1, n, (value,) * n) for name, value in values.items()}


class Told:
    """What a choice sees of a study: its finished trials, and their scores when it asks for them."""

    def __init__(self) -> None:
        self.trials: list[FinishedTrial] = []
        self.stored: dict[int, Mapping[str, Score]] = {}
        self.read: list[int] = []

    def tell(self, alignment: float, expertise: float, n: int = N) -> int:
        number = len(self.trials)
        self.trials.append(FinishedTrial(number, {}, (alignment, expertise), (None, None), "", 0, 0, ""))
        self.stored[number] = scores_of(alignment, expertise, n)
        return number

    def finished_trials(self) -> list[FinishedTrial]:
        return self.trials

    def arrived_after(self, n_known: int) -> list[FinishedTrial]:
        return self.trials[n_known:]

    def trial_scores(self, number: int) -> Mapping[str, Score]:
        self.read.append(number)
        # A search that has ended once has those on held-out examples, too.
        return {**self.stored[number], "alignment@holdout": Score(0.0, None, 1, (0.0,))}


@pytest.fixture
def study() -> Told:
    return Told()


@pytest.fixture
def choice(prepare: Callable[..., PreparedSearch], study: Told) -> RivalChoice:
    return RivalChoice(prepare(), cast(SearchStudy, study))


def values_of(choice: RivalChoice) -> set[tuple[float, ...]]:
    return {tuple(score.value for score in rival.scores.values()) for rival in choice.against(ASKED)}


def test_the_first_candidates_have_no_rivals(choice: RivalChoice, study: Told) -> None:
    assert choice.against(ASKED) == ()
    study.trials.append(FinishedTrial(0, {}, (), (), "", 0, 0, "timeout"))
    assert choice.against(ASKED) == ()


def test_rivals_are_the_front_of_the_moment(choice: RivalChoice, study: Told) -> None:
    for values in ((0.0, 1.0), (1.0, 0.0), (-1.0, -1.0)):
        study.tell(*values)
    assert values_of(choice) == {(0.0, 1.0), (1.0, 0.0)}
    study.tell(1.0, 0.5)
    assert values_of(choice) == {(0.0, 1.0), (1.0, 0.5)}
    assert all(rival.scores.keys() == {"alignment", "expertise"} for rival in choice.against(ASKED))


def test_a_landmark_has_none(choice: RivalChoice, study: Told) -> None:
    study.tell(1.0, 1.0)
    assert choice.against(replace(ASKED, landmark="base")) == ()


def test_what_was_told_here_is_not_read_and_the_rest_is_read_once(choice: RivalChoice, study: Told) -> None:
    choice.remember(study.tell(0.0, 1.0), Evaluation(scores_of(0.0, 1.0)))
    other = study.tell(1.0, 0.0)
    for _ in range(3):
        assert len(choice.against(ASKED)) == 2
    choice.remember(study.tell(0.5, 0.5), Evaluation(scores_of(0.5, 0.5)))
    assert len(choice.against(ASKED)) == 3
    assert study.read == [other]


def test_estimates_and_failures_are_not_remembered(choice: RivalChoice, study: Told) -> None:
    number = study.tell(1.0, 1.0)
    choice.remember(number, Evaluation(scores_of(9.0, 9.0), share=0.5))
    choice.remember(number, Evaluation(failure=FailureReason.TIMEOUT))
    assert values_of(choice) == {(1.0, 1.0)}
    assert study.read == [number]


def test_a_trial_without_its_examples_is_no_rival(choice: RivalChoice, study: Told) -> None:
    study.tell(1.0, 0.0, n=0)
    study.tell(0.0, 1.0)
    assert values_of(choice) == {(0.0, 1.0)}


def test_there_are_never_more_than_the_bound(choice: RivalChoice, study: Told) -> None:
    for i in range(40):
        study.tell(float(i), float(-i))
    assert len(choice.against(ASKED)) == MAX_RIVALS


@pytest.mark.parametrize(("n", "n_rivals"), [(96, 8), (10_000, 5), (50_000, 1), (200_000, 1)])
def test_large_sets_have_fewer(n: int, n_rivals: int, study: Told) -> None:
    prepared: Any = SimpleNamespace(
        objectives=("alignment", "expertise"),
        measures={name: SimpleNamespace(examples=range(n)) for name in ("alignment", "expertise")},
    )
    choice = RivalChoice(prepared, cast(SearchStudy, study))
    for i in range(10):
        study.tell(float(i), float(-i), n=n)
    assert len(choice.against(ASKED)) == n_rivals
    if 2 * n * n_rivals <= MAX_NUMBERS:
        assert len(pickle.dumps(choice.against(ASKED))) < 1e6


@settings(deadline=None, max_examples=60)
@given(POINTS, st.integers(1, 4))
def test_the_chosen_dominate_nearly_as_much_as_can_be(points: list[tuple[int, int]], n: int) -> None:
    values = np.array(points, dtype=np.float64)
    chosen = most_dominating(values, (0.0, 0.0), n)
    assert len(set(chosen)) == len(chosen) == min(n, len(values))
    best = max(hypervolume(values[list(some)], (0.0, 0.0)) for some in combinations(range(len(values)), len(chosen)))
    assert hypervolume(values[chosen], (0.0, 0.0)) >= (1 - 1 / np.e) * best


@settings(deadline=None, max_examples=60)
@given(POINTS)
def test_each_adds_the_most_to_those_before_it(points: list[tuple[int, int]]) -> None:
    values = np.array(points, dtype=np.float64)
    chosen = most_dominating(values, (0.0, 0.0), 3)
    for i, index in enumerate(chosen):
        volumes = [hypervolume(values[[*chosen[:i], other]], (0.0, 0.0)) for other in range(len(values))]
        assert volumes[index] == max(volumes)


def test_points_behind_the_reference_come_last() -> None:
    values = np.array([[-1.0, 5.0], [1.0, 1.0], [5.0, -1.0]])
    assert most_dominating(values, (0.0, 0.0), 3) == [1, 0, 2]
