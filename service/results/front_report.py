"""What a study says, as plain values: its front, what chance leaves open, and what racing has saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.plots import PlottedPoint
from service.results.standing import Standing
from service.search.measures import HOLDOUT
from service.search.selection import front_of
from service.studies import FinishedTrial, saved_evaluations, spent_evaluations
from workers.evaluation import Score


def front_json(
    trials: Sequence[FinishedTrial],
    objectives: Sequence[str],
    selected: FinishedTrial | None,
    scores: Mapping[int, Mapping[str, Score]],
) -> dict[str, Any]:
    """The same for programs, with every score on held-out examples."""
    standing = Standing(trials, len(objectives))
    return {
        "objectives": list(objectives),
        **counts_json(trials),
        **standing_json(standing, objectives, selected, scores),
    }


def counts_json(trials: Sequence[FinishedTrial]) -> dict[str, Any]:
    """How many trials there are, what they cost, and what racing has saved."""
    return {
        "finished": len(trials),
        "spent_evaluations": spent_evaluations(trials),
        "failed": sum(not trial.succeeded for trial in trials),
        "raced": sum(trial.was_stopped for trial in trials),
        "saved_evaluations": saved_evaluations(trials),
    }


def standing_json(
    standing: Standing,
    objectives: Sequence[str],
    selected: FinishedTrial | None,
    scores: Mapping[int, Mapping[str, Score]],
) -> dict[str, Any]:
    """Front and hypervolume; with every score on held-out examples."""
    landmarks = [trial for trial in standing.succeeded if trial.landmark]
    return {
        "reference_point": list(standing.reference_point),
        "hypervolume": standing.hypervolume,
        "selected": None if selected is None else selected.number,
        "front": [_trial_json(trial, objectives, scores) for trial in standing.front],
        "within_error": standing.within_error,
        "landmarks": [_trial_json(trial, objectives, scores) for trial in landmarks],
    }


def _trial_json(
    trial: FinishedTrial, objectives: Sequence[str], scores: Mapping[int, Mapping[str, Score]]
) -> dict[str, Any]:
    held_out = {m: score for m, score in scores.get(trial.number, {}).items() if m.endswith(HOLDOUT)}
    return {
        "trial": trial.number,
        "landmark": trial.landmark or None,
        "values": dict(zip(objectives, trial.values, strict=True)),
        "standard_errors": dict(zip(objectives, trial.standard_errors, strict=True)),
        "holdout": {measure.removesuffix(HOLDOUT): score_json(score) for measure, score in held_out.items()},
    }


def score_json(score: Score) -> dict[str, Any]:
    """A score without the examples' own."""
    return {"value": score.value, "standard_error": score.standard_error, "n": score.n}


def racing_line(trials: Sequence[FinishedTrial], racing: bool) -> str:
    """What racing has saved, in a sentence; "" where no candidate ever raced.

    Args:
        trials: of the study.
        racing: whether its specification asks for it now; it may have before.
    """
    n_stopped = sum(trial.was_stopped for trial in trials)
    if not racing and not n_stopped:
        return ""
    return (
        f"Racing stopped {n_stopped} of {len(trials)} candidates early and saved "
        f"{saved_evaluations(trials):.1f} evaluation-equivalents."
    )


def plotted_points(trials: Sequence[FinishedTrial], selected: FinishedTrial | None) -> list[PlottedPoint]:
    """The trials as the picture shows them."""
    front = {trial.number for trial in front_of(trials)}
    points = []
    for trial in (trial for trial in trials if trial.succeeded):
        kind = "front" if trial.number in front else "dominated"
        if trial.landmark:
            kind = "landmark"
        if selected is not None and trial.number == selected.number:
            kind = "selected"
        points.append(PlottedPoint(trial.label, trial.values, trial.standard_errors, kind))
    return points
