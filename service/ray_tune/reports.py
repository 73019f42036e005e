"""An evaluation as a result of Ray Tune's, and back; results of other trainables are read as well.

A result holds a number for each objective, under its name. Beside it may stand, of `NAME`:

    standard_error/NAME   of the number
    n_examples/NAME       how many examples it is the mean of
    per_example/NAME      each example's own score, in the set's order
    share                 of all examples, how many were scored; below 1 the numbers are estimates
    make_s, score_s       seconds
    failure               a word of `FailureReason`, and `failure_message`: the candidate has no scores
    gradients             JSON, as in `Evaluation.gradients`, and `gradient_failure`

Tune shows a searcher nested results with `/` between their keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from workers.evaluation import Evaluation, FailureReason, Score

# What an objective must not be called.
KEYS = frozenset(
    {"failure", "failure_message", "gradient_failure", "gradients", "make_s", "n_examples", "per_example", "score_s"}
    | {"share", "standard_error"}
)
# What only the study is to keep: a number for every example, or for every coefficient.
_DETAILS = ("per_example", "gradients")


def report_of(evaluation: Evaluation, objectives: Sequence[str]) -> dict[str, Any]:
    """What a trainable reports of an evaluation."""
    report: dict[str, Any] = {"make_s": evaluation.make_s, "score_s": evaluation.score_s, "share": evaluation.share}
    if evaluation.failure is not None:
        # Numbers that are none: schedulers and loggers look for their metric in every result.
        values = dict.fromkeys(objectives, math.nan)
        return report | values | {"failure": str(evaluation.failure), "failure_message": evaluation.message}
    scores = evaluation.scores
    report |= {name: score.value for name, score in scores.items()}
    report["standard_error"] = {
        name: score.standard_error for name, score in scores.items() if score.standard_error is not None
    }
    report["n_examples"] = {name: score.n for name, score in scores.items()}
    report["per_example"] = {name: list(score.per_example) for name, score in scores.items() if score.per_example}
    if evaluation.gradients:
        report["gradients"] = json.dumps(evaluation.gradients)
    if evaluation.gradient_failure:
        report["gradient_failure"] = evaluation.gradient_failure
    return report


def take_details(result: dict[str, Any]) -> dict[str, Any]:
    """Take out of a result what neither logs nor Tune's own state shall hold; as Tune shows it to a searcher."""
    details = {key: result.pop(key) for key in _DETAILS if key in result}
    per_example = details.pop("per_example", {})
    return details | {f"per_example/{name}": scores for name, scores in per_example.items()}


def evaluation_of(result: Mapping[str, Any], objectives: Sequence[str]) -> Evaluation:
    """What the last result of a trial says; whatever is no whole evaluation is a failure with its reason."""
    make_s, score_s = result.get("make_s", 0.0), result.get("score_s", 0.0)
    if found := _failure(result, objectives):
        reason, message = found
        return Evaluation(make_s=make_s, score_s=score_s, failure=reason, message=message)
    return Evaluation(
        {name: _score(result, name) for name in objectives},
        make_s,
        score_s,
        gradients=json.loads(result.get("gradients", "{}")),
        gradient_failure=result.get("gradient_failure", ""),
    )


def _failure(result: Mapping[str, Any], objectives: Sequence[str]) -> tuple[FailureReason, str] | None:
    if not result:
        return FailureReason.STOPPED_EARLY, "Ray Tune stopped the trial before it had reported anything."
    if "failure" in result:
        return _reason(result["failure"]), result.get("failure_message", "")
    if (share := result.get("share", 1.0)) < 1.0:
        message = f"Ray Tune stopped the trial when {share:.0%} of the examples were scored."
        return FailureReason.STOPPED_EARLY, message
    for name in objectives:
        value = result.get(name)
        if not isinstance(value, Real):
            said = f"is {value!r}" if name in result else "is missing"
            return FailureReason.MISSING_SCORE, f"A result must hold a number for every objective, but '{name}' {said}."
        if not math.isfinite(value):
            return FailureReason.NON_FINITE_SCORE, f"Every score must be finite, but '{name}' is {value}."
    return None


def _reason(word: str) -> FailureReason:
    """Other trainables have reasons of their own, which the message tells."""
    return FailureReason(word) if word in set(FailureReason) else FailureReason.INTERNAL_ERROR


def _score(result: Mapping[str, Any], name: str) -> Score:
    error = result.get(f"standard_error/{name}")
    per_example = tuple(map(float, result.get(f"per_example/{name}", ())))
    n = int(result.get(f"n_examples/{name}", len(per_example)))
    return Score(float(result[name]), None if error is None else float(error), n, per_example)
