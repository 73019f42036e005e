"""What a run of schedules came to, as it is printed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tests.chaos.outcome import Outcome
from tests.chaos.schedule import NEED_A_DISK, Kind

# One or two may come when the search has just ended.
_ENOUGH = 4


def lines_of(outcome: Outcome) -> Iterator[str]:
    """One for a schedule that passed; of one that did not, what was violated and how to repeat it."""
    told = "FAILED" if outcome.violations else "passed"
    missed = [kind for kind, struck in outcome.struck.items() if not struck]
    yield f"{told} in {outcome.seconds:5.1f} s, {outcome.n_starts} starts: {outcome.schedule}" + (
        f" [struck nothing: {', '.join(missed)}]" if missed else ""
    )
    if outcome.violations:
        yield from (f"    violated: {violation}" for violation in outcome.violations)
        yield f"    repeat it: python -m tests.chaos --seed {outcome.schedule.seed}"


def table_of(outcomes: Sequence[Outcome], wall_s: float) -> Iterator[str]:
    """Kinds of faults, how often each was injected, and how often it struck something; and the sum."""
    yield f"{'fault':32}{'injected':>10}{'struck':>8}{'violations':>12}"
    for kind in Kind:
        having = [outcome for outcome in outcomes if kind in outcome.struck]
        n_struck = sum(outcome.struck[kind] for outcome in having)
        n_violated = sum(bool(outcome.violations) for outcome in having)
        yield f"{kind:32}{len(having):10}{n_struck:8}{n_violated:12}"
    n_faults = sum(len(outcome.struck) for outcome in outcomes)
    n_struck = sum(sum(outcome.struck.values()) for outcome in outcomes)
    n_passed = sum(not outcome.violations for outcome in outcomes)
    yield f"{'all':32}{n_faults:10}{n_struck:8}{len(outcomes) - n_passed:12}"
    yield ""
    if blanks := blanks_in(outcomes):
        yield f"FAILED: nothing was ever struck by {', '.join(blanks)}."
    yield (
        f"{n_passed} of {len(outcomes)} schedules passed, with {sum(o.n_starts for o in outcomes)} starts of searches, "
        f"in {wall_s:.0f} s: {_mean(o.seconds for o in outcomes):.1f} s each."
    )


def blanks_in(outcomes: Sequence[Outcome]) -> list[Kind]:
    """Kinds that struck nothing though they were injected again and again: the harness does not find what to strike."""
    injected = Counter(kind for outcome in outcomes for kind in outcome.struck)
    struck = Counter(kind for outcome in outcomes for kind, has_struck in outcome.struck.items() if has_struck)
    # Who is not root can fill no disk.
    possible = set(Kind) - (NEED_A_DISK if os.geteuid() else frozenset())
    return [kind for kind in Kind if kind in possible and injected[kind] >= _ENOUGH and not struck[kind]]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))
