"""What the front's table says beside the front: whom an error may hide."""

from __future__ import annotations

from dataclasses import replace

from service.cli.front_table import front_table, holdout_table
from service.results import Standing, front_json
from service.studies import FinishedTrial
from workers.evaluation import Score

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


def within_error(trials: list[FinishedTrial]) -> list[int]:
    return Standing(trials, len(OBJECTIVES)).within_error


def test_gradients_that_could_not_be_had_are_told() -> None:
    lost = [replace(trial, gradient_failure=f"that of {trial.number} is nan") for trial in (NEAR, FAR)]
    assert "gradients" not in str(front_table([*FRONT, NEAR, FAR], OBJECTIVES).caption)
    assert "\n2 trials have values and no gradients; of trial 3: that of 3 is nan" in str(
        front_table([*FRONT, *lost], OBJECTIVES).caption
    )


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


# ---- on held-out examples -----------------------------------------------------------------------


def score(value: float) -> Score:
    return Score(value, 0.1, 4, ())


VERDICT = {"alignment@holdout": score(0.9), "expertise@holdout": score(0.1)}


def shown(scores: dict[int, dict[str, Score]]) -> list[str]:
    """The rows of the verdict: two trials of the front, and a landmark that is dominated."""
    table = holdout_table([*FRONT, replace(FAR, landmark="base")], OBJECTIVES, scores)
    return [] if table is None else list(map(str, table.columns[0].cells))


def test_verdict_is_of_front_and_landmarks() -> None:
    assert shown({0: VERDICT, 1: VERDICT, 3: VERDICT}) == ["trial 0", "trial 1", "base"]


def test_a_landmark_that_has_no_verdict_is_left_out() -> None:
    assert shown({0: VERDICT, 1: VERDICT, 3: {"alignment": score(0.5)}}) == ["trial 0", "trial 1"]


def test_who_has_left_the_front_says_nothing_of_it() -> None:
    """Such as by a report that the specification no longer asks for."""
    scores = {0: VERDICT, 1: VERDICT, 2: {"refusal@holdout": score(1.0)}}
    assert shown(scores) == ["trial 0", "trial 1"]


def test_no_verdict_is_no_table() -> None:
    assert shown({}) == shown({0: {"alignment": score(0.5)}}) == []
