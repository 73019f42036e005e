"""Which trial of a study is meant."""

from __future__ import annotations

import pytest

from search_spaces.errors import SelectionError
from service.search.selection import front_of, select_trial
from service.studies import FinishedTrial

OBJECTIVES = ("alignment", "expertise")


def trial(number: int, *values: float, failure: str = "") -> FinishedTrial:
    return FinishedTrial(number, {}, values, (None,) * len(values), "", 0.0, 0.0, failure)


TRIALS = [
    trial(0, 0.0, 1.0),
    trial(1, 0.8, 0.7),
    trial(2, failure="timeout"),
    trial(3, 0.5, 0.5),
    trial(4, 1.0, 0.0),
    trial(5, 0.9, 0.3),
]


def test_the_front_begins_with_the_best_in_the_first_objective() -> None:
    assert [t.number for t in front_of(TRIALS)] == [4, 5, 1, 0]


def test_equal_trials_are_in_the_order_of_their_numbers() -> None:
    assert [t.number for t in front_of([trial(7, 1.0, 1.0), trial(3, 1.0, 1.0)])] == [3, 7]


def test_without_a_success_there_is_no_front() -> None:
    assert front_of([trial(0, failure="timeout")]) == []


def test_the_knee_is_the_default() -> None:
    assert select_trial(TRIALS, OBJECTIVES).number == 1


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [(["alignment>=0.85"], 5), (["alignment>=0.85", "expertise<=0.2"], 4), (["expertise >= 0.71"], 0)],
)
def test_by_constraint(constraints: list[str], expected: int) -> None:
    assert select_trial(TRIALS, OBJECTIVES, constraints=constraints).number == expected


def test_by_number_also_off_the_front() -> None:
    assert select_trial(TRIALS, OBJECTIVES, number=3) is TRIALS[3]


def test_an_unknown_number() -> None:
    with pytest.raises(SelectionError, match="must be one of the study's finished ones, 0 to 5, but got 17"):
        select_trial(TRIALS, OBJECTIVES, number=17)


def test_a_failed_trial_says_why() -> None:
    with pytest.raises(SelectionError, match=r"Trial 2 cannot be selected: it failed \(timeout\)"):
        select_trial(TRIALS, OBJECTIVES, number=2)


def test_a_constraint_that_nothing_satisfies() -> None:
    with pytest.raises(SelectionError, match=r"must satisfy alignment>=2.0, but no point of the front does"):
        select_trial(TRIALS, OBJECTIVES, constraints=["alignment>=2"])


def test_a_constraint_on_no_objective() -> None:
    with pytest.raises(SelectionError, match=r"but got 'safety>=1'. Objectives: alignment, expertise"):
        select_trial(TRIALS, OBJECTIVES, constraints=["safety>=1"])


@pytest.mark.parametrize("trials", [[], [trial(0, failure="timeout")]])
def test_nothing_to_select_from(trials: list[FinishedTrial]) -> None:
    with pytest.raises(SelectionError, match="none has succeeded yet"):
        select_trial(trials, OBJECTIVES)


def test_a_number_and_a_constraint_at_once_are_refused() -> None:
    with pytest.raises(SelectionError, match=r"but got both: 1, alignment>=0"):
        select_trial(TRIALS, OBJECTIVES, number=1, constraints=["alignment>=0"])
