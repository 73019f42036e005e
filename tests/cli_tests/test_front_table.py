"""What the front's table says beside the front: whom an error may hide."""

from __future__ import annotations

from service.cli.front_table import front_table
from service.results import front_json, within_error
from service.studies import FinishedTrial

OBJECTIVES = ("alignment", "expertise")


def trial(number: int, *values: float, error: float = 0.1, share: float = 1.0) -> FinishedTrial:
    return FinishedTrial(
        number=number,
        params={},
        values=values,
        standard_errors=(error,) * len(values),
        landmark="",
        make_s=0.0,
        score_s=0.0,
        failure="" if values else "timeout",
        share=share,
    )


FRONT = [trial(0, 1.0, 0.0), trial(1, 0.0, 1.0)]
NEAR, FAR, STOPPED, FAILED = trial(2, 0.95, 0.0), trial(3, 0.0, 0.5), trial(4, 0.95, 0.0, share=0.25), trial(5)


def test_whom_an_error_may_hide() -> None:
    assert within_error([*FRONT, NEAR, FAR, STOPPED, FAILED]) == [2]
    assert within_error([*FRONT, FAR]) == []
    assert within_error([FAILED]) == within_error([]) == []


def test_smaller_errors_hide_nobody() -> None:
    assert within_error([trial(0, 1.0, 0.0, error=0.01), trial(2, 0.95, 0.0, error=0.01)]) == []


def test_table_and_json_say_so() -> None:
    trials = [*FRONT, NEAR, FAR]
    assert "1 more are dominated only within error" in str(front_table(trials, OBJECTIVES).caption)
    assert "within error" not in str(front_table([*FRONT, FAR], OBJECTIVES).caption)
    assert front_json(trials, OBJECTIVES, None, {})["within_error"] == [2]
