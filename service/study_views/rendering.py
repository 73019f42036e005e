"""Views as JSON: the bodies of answers, each built once for all who ask."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

from service.pareto import parse_constraint
from service.results import counts_json, score_json, standing_json
from service.studies import FinishedTrial
from service.study_views.study_view import StudyView
from workers.evaluation import Score

Split = Literal["search", "holdout"]


def as_json(values: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def front_body(view: StudyView, split: Split, constraints: Sequence[str]) -> bytes:
    """`schemas.Front`: as `paretomerge front --json`, or the same over what was scored on held-out examples.

    The trials are counted over the whole study either way. With `holdout` everything else, reference point and
    hypervolume included, is of the trials that have a score on held-out examples in every objective.

    Raises:
        SelectionError: a constraint is malformed, or nothing on the front satisfies it.
    """
    standing = view.standing if split == "search" else view.holdout_standing
    for constraint in constraints:
        parse_constraint(constraint, view.objectives)  # also where there is nothing to select from yet
    selected = standing.select(constraints, view.objectives) if standing.front else None
    return as_json(
        {
            "study": view.name,
            "split": split,
            "objectives": list(view.objectives),
            **counts_json(view.trials),
            **standing_json(standing, view.objectives, selected, view.held_out),
        }
    )


def hypervolume_body(view: StudyView) -> bytes:
    """`schemas.HypervolumeHistory`."""
    standing, spent = view.standing, view.standing.spent_evaluations
    steps = [
        {"n_finished": n_finished, "spent_evaluations": spent[n_finished], "hypervolume": value}
        for n_finished, value in standing.hypervolume_steps
    ]
    counts = {"n_finished": len(view.trials), "spent_evaluations": spent[-1]}
    return as_json({"reference_point": list(standing.reference_point), **counts, "steps": steps})


def points_body(objectives: Sequence[str], trials: Sequence[FinishedTrial], *, reset: bool) -> bytes:
    """`schemas.Points`: numbers that a picture shows, with as many digits as it can show."""
    return as_json(
        {
            "reset": reset,
            "numbers": [trial.number for trial in trials],
            "values": {name: [_of(trial.values, i, 7) for trial in trials] for i, name in enumerate(objectives)},
            "standard_errors": {
                name: [_of(trial.standard_errors, i, 3) for trial in trials] for i, name in enumerate(objectives)
            },
            "landmarks": [trial.landmark or None for trial in trials],
            "failures": [trial.failure or None for trial in trials],
            "costs": [trial.cost for trial in trials] if any(trial.cost != 1.0 for trial in trials) else None,
        }
    )


def _of(values: tuple[float | None, ...], objective: int, n_digits: int) -> float | None:
    value = values[objective] if values else None
    return None if value is None else float(f"{value:.{n_digits}g}")


def trials_body(view: StudyView, offset: int, limit: int, params: Mapping[int, Mapping[str, float]] | None) -> bytes:
    """`schemas.TrialsPage`.

    Args:
        view: of the study.
        offset: how many trials come before.
        limit: how many there may be.
        params: trial number → parameters, or None to leave them out.
    """
    shown = view.trials[offset : offset + limit]
    after = offset + len(shown)
    trials = [trial_json(trial, view.objectives) for trial in shown]
    if params is not None:
        trials = [{**trial, "params": params.get(trial["number"], {})} for trial in trials]
    next_offset = after if after < len(view.trials) else None
    return as_json({"trials": trials, "total": len(view.trials), "offset": offset, "next_offset": next_offset})


def trial_json(trial: FinishedTrial, objectives: Sequence[str]) -> dict[str, Any]:
    """`schemas.Trial`, without its parameters."""
    return {
        "number": trial.number,
        "state": "complete" if trial.succeeded else "failed",
        "landmark": trial.landmark or None,
        "values": dict(zip(objectives, trial.values, strict=False)),
        "standard_errors": dict(zip(objectives, trial.standard_errors, strict=False)),
        "make_s": trial.make_s,
        "score_s": trial.score_s,
        "share": trial.share,
        "cost": trial.cost,
        "failure": trial.failure or None,
        "gradient_failure": trial.gradient_failure or None,
    }


def detail_body(
    trial: dict[str, Any], params: Mapping[str, float], scores: Mapping[str, Score], coefficients: Mapping[str, Any]
) -> bytes:
    """`schemas.TrialDetail`.

    Args:
        trial: see `trial_json`.
        params: its parameters.
        scores: measure → score.
        coefficients: see `service.study_views.coefficients`.
    """
    shown = {measure: score_json(score) for measure, score in scores.items()}
    return as_json({**trial, "params": dict(params), "scores": shown, "coefficients": coefficients})


def front_mark(view: StudyView) -> bytes:
    """Equal for two views whose front, hypervolume and held-out scores are equal."""
    front = [trial.number for trial in view.standing.front]
    held_out = {number: {m: score.value for m, score in found.items()} for number, found in view.held_out.items()}
    return blake2b(as_json([front, view.standing.hypervolume, held_out]), digest_size=12).digest()
