"""What is said of a run: what was violated and how to repeat it, and that a fault never struck."""

from __future__ import annotations

from tests.chaos.outcome import Outcome
from tests.chaos.report import blanks_in, lines_of, table_of
from tests.chaos.schedule import Kind, schedule_of


def outcomes(struck: bool) -> list[Outcome]:
    return [Outcome(schedule_of(5), {Kind.WORKER_KILLED: struck}, seconds=2.0) for _ in range(4)]


def test_a_violation_says_how_to_repeat_it() -> None:
    told = list(lines_of(Outcome(schedule_of(5), violations=["no lease is left: trials [2] have one"])))
    assert told[0].startswith("FAILED")
    assert told[1:] == [
        "    violated: no lease is left: trials [2] have one",
        "    repeat it: python -m tests.chaos --seed 5",
    ]


def test_the_table_counts() -> None:
    table = list(table_of([*outcomes(True), *outcomes(False)], wall_s=9.0))
    assert "worker killed                            8       4           0" in table
    assert table[-1] == "8 of 8 schedules passed, with 0 starts of searches, in 9 s: 2.0 s each."


def test_a_fault_that_never_strikes_is_seen() -> None:
    assert blanks_in(outcomes(False)) == [Kind.WORKER_KILLED]
    assert blanks_in(outcomes(False)[:3]) == []
    assert blanks_in([*outcomes(False), *outcomes(True)]) == []
