"""What must hold after a search, whatever befell it; pure, so that each check can be shown to fail."""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.database import StoredTrial
from workers.evaluation import FailureReason

# Costs may be fractions, whose sums are rounded.
_ROUNDING = 1e-6
# Scores of one candidate in two processes: sums in another order.
_TOLERANCE = 1e-4
_OBJECTIVES = ("alignment", "expertise")
# What ends a command without a chance to say why.
_SILENT = {-signal.SIGKILL, -signal.SIGTERM}

# What a command says that is without its database, or that the database has refused.
_LOST = "database must stay reachable"

Finished = tuple[Mapping[str, float], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended.

    Args:
        arguments: of it.
        exit_code: that of a killed one is the negative signal.
        stderr: what it told.
        was_struck: whether a fault may have ended it.
        was_cut: whether one kept it from its database.
    """

    arguments: tuple[str, ...]
    exit_code: int
    stderr: str
    was_struck: bool
    was_cut: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """A folder beside others for exports.

    Args:
        name: of it.
        is_whole: whether its model loads, and says which trial it is of.
    """

    name: str
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a search, during and after it.

    Args:
        budget: in evaluation-equivalents.
        params: the names of every trial's parameters.
        landmarks: the names of what is asked first.
        trials: in the end, by number.
        seen: number → parameters and values of what was finished at some fault.
        front: the trials that the command shows as the front; None if it failed.
        recomputed: number → values of some candidates that were evaluated once more.
        endings: of all commands.
        exports: all that lies where exports were asked for.
        left_over: processes that outlived their command.
        stalled: why the search was given up, or "".
        holds_out: whether all of the front must be scored on held-out examples.
    """

    budget: int
    params: frozenset[str]
    landmarks: Sequence[str]
    trials: Sequence[StoredTrial]
    seen: Mapping[int, Finished] = field(default_factory=dict)
    front: Sequence[int] | None = ()
    recomputed: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    endings: Sequence[Ending] = ()
    exports: Sequence[Export] = ()
    left_over: Sequence[str] = ()
    stalled: str = ""
    holds_out: bool = False

    @property
    def complete(self) -> list[StoredTrial]:
        """The trials that have values."""
        return [trial for trial in self.trials if trial.state == "COMPLETE"]


def violations(evidence: Evidence) -> list[str]:
    """What does not hold, in words: the check, and what was found."""
    if evidence.stalled:
        return [f"every search ends: {evidence.stalled}"]
    return [f"{name}: {found}" for name, check in CHECKS.items() for found in check(evidence)]


def finished(trials: Sequence[StoredTrial]) -> dict[int, Finished]:
    """What must stay as it is from now on: number → parameters and values."""
    return {trial.number: (trial.params, trial.values) for trial in trials if trial.state == "COMPLETE"}


def _budget_is_exact(evidence: Evidence) -> Iterator[str]:
    unfinished = [trial.number for trial in evidence.trials if trial.state not in ("COMPLETE", "FAIL")]
    if unfinished:
        yield f"trials {unfinished} are not finished"
    spent = sum(trial.cost for trial in evidence.trials)
    if not evidence.budget - 1 + _ROUNDING < spent <= evidence.budget + _ROUNDING:
        yield f"{spent:g} of {evidence.budget} evaluations are spent"


def _none_is_lost(evidence: Evidence) -> Iterator[str]:
    now = finished(evidence.trials)
    for number, then in evidence.seen.items():
        if number not in now:
            yield f"trial {number} was finished once, and is not any more"
        elif now[number] != then:
            yield f"trial {number} has changed from {then} to {now[number]}"


def _none_is_counted_twice(evidence: Evidence) -> Iterator[str]:
    numbers = [trial.number for trial in evidence.trials]
    if numbers != list(range(len(numbers))):
        yield f"trials are numbered {numbers}"
    asked = Counter(trial.attributes.get("landmark") for trial in evidence.trials)
    for landmark in evidence.landmarks[: evidence.budget]:
        if asked[landmark] != 1:
            yield f"landmark '{landmark}' was asked {asked[landmark]} times"


def _finished_are_whole(evidence: Evidence) -> Iterator[str]:
    for trial in evidence.complete:
        is_raced = trial.attributes.get("share", 1.0) < 1
        if trial.params.keys() != evidence.params:
            yield f"trial {trial.number} has {len(trial.params)} of {len(evidence.params)} parameters"
        if len(trial.values) != len(_OBJECTIVES) or not all(map(_is_finite, trial.values)):
            yield f"trial {trial.number} has the values {trial.values}"
        if not is_raced and not trial.measures >= set(_OBJECTIVES):
            yield f"trial {trial.number} has scores of {sorted(trial.measures)} only"
        if not trial.attributes.keys() >= {"standard_errors", "n_examples", "make_s", "score_s"}:
            yield f"trial {trial.number} says of itself {sorted(trial.attributes)} only"


def _failures_are_data(evidence: Evidence) -> Iterator[str]:
    for trial in evidence.trials:
        reason = trial.attributes.get("failure")
        if (trial.state == "FAIL") != (reason in set(FailureReason)):
            yield f"trial {trial.number} is {trial.state} for the reason {reason!r}"
        if trial.state == "FAIL" and trial.values:
            yield f"trial {trial.number} failed, but has the values {trial.values}"


def _no_lease_is_left(evidence: Evidence) -> Iterator[str]:
    leased = [trial.number for trial in evidence.trials if trial.driver]
    if leased:
        yield f"trials {leased} have one"


def _front_is_that_of_the_trials(evidence: Evidence) -> Iterator[str]:
    points = {t.number: t.values for t in evidence.complete if len(t.values) == len(_OBJECTIVES)}
    expected = {n for n, point in points.items() if not any(_dominates(other, point) for other in points.values())}
    if evidence.front is None:
        if expected:
            yield "it cannot be shown"
    elif sorted(evidence.front) != sorted(expected):
        yield f"{sorted(evidence.front)} is shown, but it is {sorted(expected)}"
    elif evidence.holds_out:
        held_out = {f"{objective}@holdout" for objective in _OBJECTIVES}
        for trial in evidence.complete:
            if trial.number in expected and not trial.measures >= held_out:
                yield f"trial {trial.number} of it was not scored on what was held out"


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def _values_are_their_recipes(evidence: Evidence) -> Iterator[str]:
    stored = {trial.number: trial.values for trial in evidence.complete}
    for number, values in evidence.recomputed.items():
        found = stored.get(number, ())
        close = len(found) == len(values) and all(
            math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in zip(found, values, strict=True)
        )
        if not close:
            yield f"trial {number} has {found}, but its recipe gives {values}"


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _endings_are_told(evidence: Evidence) -> Iterator[str]:
    for ending in evidence.endings:
        command = " ".join(ending.arguments)
        if "Traceback" in ending.stderr or "This was not foreseen" in ending.stderr:
            yield f"`{command}` was not prepared for it:\n{_last_lines(ending.stderr)}"
        elif ending.exit_code != 0 and not ending.was_struck:
            yield f"`{command}` ended with {ending.exit_code}, though nothing had befallen it:\n{ending.stderr}"
        elif _LOST in ending.stderr and not ending.was_cut:
            yield f"`{command}` has lost its database, which was there:\n{ending.stderr}"
        elif ending.exit_code not in _SILENT | {0} and not ending.stderr.strip():
            yield f"`{command}` ended with {ending.exit_code} and said nothing"


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-30:])


def _exports_are_whole(evidence: Evidence) -> Iterator[str]:
    for export in evidence.exports:
        if not export.is_whole:
            yield f"'{export.name}' is not"


def _no_process_is_left(evidence: Evidence) -> Iterator[str]:
    if evidence.left_over:
        yield ", ".join(evidence.left_over)


CHECKS: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "the budget is exact": _budget_is_exact,
    "no finished evaluation is lost": _none_is_lost,
    "none is counted twice": _none_is_counted_twice,
    "finished trials are whole": _finished_are_whole,
    "a failed candidate is data": _failures_are_data,
    "no lease is left": _no_lease_is_left,
    "the front is that of the trials": _front_is_that_of_the_trials,
    "values are those of the recipes": _values_are_their_recipes,
    "every ending is told": _endings_are_told,
    "exports are whole": _exports_are_whole,
    "no process is left": _no_process_is_left,
}
