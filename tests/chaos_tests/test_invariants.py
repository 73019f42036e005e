"""Each invariant holds of a search that is whole, and is seen to be violated by one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.database import StoredTrial
from tests.chaos.invariants import CHECKS, Ending, Evidence, Export, finished, violations

PARAMS = {"aligned/all/weight": 0.5, "expert/all/weight": 0.25}
ATTRIBUTES = {"standard_errors": [0.1, 0.1], "n_examples": [8, 8], "make_s": 0.01, "score_s": 0.02}
MEASURES = frozenset(f"{objective}{suffix}" for objective in ("alignment", "expertise") for suffix in ("", "@holdout"))
POINTS = [(0.0, 3.0), (1.0, 2.0), (0.5, 1.0), (3.0, 0.0)]
FRONT = [0, 1, 3]

Change = Callable[[Evidence], Evidence]


def trial(number: int, values: tuple[float, ...], **attributes: Any) -> StoredTrial:
    return StoredTrial(number, "COMPLETE", PARAMS, values, ATTRIBUTES | attributes, 1.0, MEASURES, "")


def whole() -> Evidence:
    """Four trials, of which the first is a landmark."""
    trials = [trial(number, values, **({} if number else {"landmark": "base"})) for number, values in enumerate(POINTS)]
    return Evidence(
        budget=len(trials),
        params=frozenset(PARAMS),
        landmarks=["base"],
        trials=trials,
        seen=finished(trials[:2]),
        front=FRONT,
        recomputed={2: (0.5, 1.0)},
        endings=[Ending(("search", "a.yaml"), -9, "", was_struck=True), Ending(("search", "a.yaml"), 0, "", False)],
        exports=[Export("merge", is_whole=True)],
        holds_out=True,
    )


def having(number: int, /, **changes: Any) -> Change:
    """One of its trials is another."""

    def change(evidence: Evidence) -> Evidence:
        trials = [replace(each, **changes) if each.number == number else each for each in evidence.trials]
        return replace(evidence, trials=trials)

    return change


def told(number: int, /, **attributes: Any) -> Change:
    """One of its trials says something else of itself."""
    return lambda evidence: having(number, attributes={**evidence.trials[number].attributes, **attributes})(evidence)


def being(**changes: Any) -> Change:
    return lambda evidence: replace(evidence, **changes)


def ending(code: int, stderr: str, was_struck: bool) -> Change:
    return being(endings=[Ending(("search", "a.yaml"), code, stderr, was_struck)])


BROKEN: list[tuple[str, str, Change]] = [
    ("the budget is exact", "trials [2] are not finished", having(2, state="RUNNING")),
    ("the budget is exact", "trials [2] are not finished", having(2, state="WAITING")),
    ("the budget is exact", "4 of 5 evaluations", being(budget=5)),
    ("the budget is exact", "4 of 3 evaluations", being(budget=3)),
    ("the budget is exact", "6 of 4 evaluations", having(2, cost=3.0)),
    ("no finished evaluation is lost", "trial 1 was finished once", having(1, state="FAIL", values=())),
    ("no finished evaluation is lost", "trial 1 has changed", having(1, values=(1.0, 2.5))),
    ("no finished evaluation is lost", "trial 0 has changed", having(0, params=PARAMS | {"expert/all/weight": 0.3})),
    ("none is counted twice", "numbered [0, 1, 2, 2]", having(3, number=2)),
    ("none is counted twice", "'base' was asked 2 times", told(1, landmark="base")),
    ("none is counted twice", "'base' was asked 0 times", told(0, landmark=None)),
    ("finished trials are whole", "1 of 2 parameters", having(2, params={"expert/all/weight": 0.25})),
    ("finished trials are whole", "has the values", having(2, values=(0.5,))),
    ("finished trials are whole", "has the values", having(2, values=(0.5, float("inf")))),
    ("finished trials are whole", "scores of ['expertise']", having(2, measures=frozenset({"expertise"}))),
    ("finished trials are whole", "says of itself", having(2, attributes={})),
    ("a failed candidate is data", "FAIL for the reason None", having(2, state="FAIL", values=(), attributes={})),
    ("a failed candidate is data", "FAIL for the reason 'odd'", having(2, state="FAIL", attributes={"failure": "odd"})),
    ("a failed candidate is data", "COMPLETE for the reason", told(2, failure="timeout")),
    ("a failed candidate is data", "has the values", having(2, state="FAIL", attributes={"failure": "timeout"})),
    ("no lease is left", "trials [2] have one", having(2, driver="somebody")),
    ("the front is that of the trials", "it cannot be shown", being(front=None)),
    ("the front is that of the trials", "[0, 1] is shown, but it is [0, 1, 3]", being(front=[0, 1])),
    ("the front is that of the trials", "held out", having(3, measures=frozenset({"alignment", "expertise"}))),
    ("values are those of the recipes", "its recipe gives (0.6, 1.0)", being(recomputed={2: (0.6, 1.0)})),
    ("values are those of the recipes", "its recipe gives ()", being(recomputed={2: ()})),
    ("every ending is told", "ended with 1, though nothing", ending(1, "Error: no.", was_struck=False)),
    ("every ending is told", "was not prepared", ending(1, "Traceback (most recent call last):", was_struck=True)),
    ("every ending is told", "was not prepared", ending(1, "This was not foreseen;", was_struck=True)),
    ("every ending is told", "which was there", ending(1, "Error: The study's database must stay reachable", True)),
    ("every ending is told", "said nothing", ending(1, "", was_struck=True)),
    ("exports are whole", "'.merge.partial-7' is not", being(exports=[Export(".merge.partial-7", is_whole=False)])),
    ("no process is left", "raylet", being(left_over=["raylet"])),
]


def test_a_whole_search_violates_nothing() -> None:
    assert violations(whole()) == []


@pytest.mark.parametrize(("name", "found", "change"), BROKEN, ids=[f"{name}: {found}" for name, found, _ in BROKEN])
def test_what_is_broken_is_seen(name: str, found: str, change: Change) -> None:
    assert any(line.startswith(f"{name}: ") and found in line for line in violations(change(whole())))


def test_every_check_is_shown_to_fail() -> None:
    assert {name for name, *_ in BROKEN} == CHECKS.keys()


def test_a_race_that_was_stopped_has_estimates_only() -> None:
    estimates = having(2, attributes=ATTRIBUTES | {"share": 0.5}, measures=frozenset())
    assert violations(estimates(whole())) == []


def test_gradients_may_leave_a_rest() -> None:
    """Nothing costs less than 1."""
    assert violations(replace(having(2, cost=1.5)(whole()), budget=5)) == []


def test_a_search_that_does_not_end_is_a_violation() -> None:
    assert violations(being(stalled="it waits")(whole())) == ["every search ends: it waits"]
