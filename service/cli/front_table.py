"""A front as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from service.pareto import certainly_dominated, hypervolume
from service.plots import PlottedPoint
from service.search.preparation import HOLDOUT
from service.search.selection import front_of
from service.studies import FinishedTrial, reference_point, saved_evaluations
from workers.evaluation import Score


def front_table(
    trials: Sequence[FinishedTrial],
    objectives: Sequence[str],
    selected: FinishedTrial | None = None,
    max_rows: int | None = None,
) -> Table:
    """The front, best in the first objective first, then the dominated landmarks.

    Args:
        trials: of the study.
        objectives: the names of their values.
        selected: the trial to mark.
        max_rows: of the front; a longer one is thinned evenly, its ends and the selected trial stay.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("merge")
    for objective in objectives:
        table.add_column(objective, justify="right")
    table.add_column("")
    front = front_of(trials)
    for trial in front if max_rows is None else _thinned(front, selected, max_rows):
        chosen = selected is not None and trial.number == selected.number
        style = "bold green" if chosen else "bold"
        table.add_row(trial.label, *_cells(trial), "selected" if chosen else "front", style=style)
    clear = _clearly_dominated(trials)
    for trial in trials:
        if trial.landmark and trial.succeeded and trial not in front:
            verdict = "dominated" if trial.number in clear else "dominated within error"
            table.add_row(trial.label, *_cells(trial), verdict, style="dim")
    table.caption = _caption(trials, objectives)
    table.caption_justify = "left"
    return table


def holdout_table(
    trials: Sequence[FinishedTrial],
    objectives: Sequence[str],
    scores: Mapping[int, Mapping[str, Score]],
    selected: FinishedTrial | None = None,
) -> Table | None:
    """The front and the landmarks on held-out examples, with the gap to what the search saw; None without any."""
    held_out = sorted({m for by_measure in scores.values() for m in by_measure if m.endswith(HOLDOUT)})
    shown = [trial for trial in front_of(trials) if scores.get(trial.number, {}).keys() >= set(held_out)]
    if not held_out or not shown:
        return None
    names = sorted((m.removesuffix(HOLDOUT) for m in held_out), key=lambda name: (name not in objectives, name))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("on held-out examples")
    for name in names:
        table.add_column(f"{name} (gap)" if name in objectives else name, justify="right")
    landmarks = [trial for trial in trials if trial.landmark and trial.number in scores and trial not in shown]
    for trial in (*shown, *landmarks):
        chosen = selected is not None and trial.number == selected.number
        cells = [_holdout_cell(trial, name, objectives, scores[trial.number]) for name in names]
        table.add_row(trial.label, *cells, style="bold green" if chosen else "dim" if trial.landmark else "")
    return table


def _holdout_cell(trial: FinishedTrial, name: str, objectives: Sequence[str], scores: Mapping[str, Score]) -> str:
    score = scores.get(f"{name}{HOLDOUT}")
    if score is None:
        return ""
    if name not in objectives:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.value - trial.values[list(objectives).index(name)]:+.3f})"


def within_error(trials: Sequence[FinishedTrial]) -> list[int]:
    """Trials beside the front that nothing beats by more than the errors of both: they may belong to it.

    Those that a race has stopped are none: they were beaten beyond doubt.
    """
    front = {trial.number for trial in front_of(trials)}
    clear = _clearly_dominated(trials)
    return [
        trial.number
        for trial in trials
        if trial.succeeded and not trial.was_stopped and trial.number not in front | clear
    ]


def _clearly_dominated(trials: Sequence[FinishedTrial]) -> set[int]:
    """Trials that another one beats by more than the errors of both."""
    succeeded = [trial for trial in trials if trial.succeeded]
    if not succeeded:
        return set()
    values = np.array([trial.values for trial in succeeded])
    errors = np.array([[error or 0.0 for error in trial.standard_errors] for trial in succeeded])
    marked = certainly_dominated(values, errors)
    return {trial.number for trial, clear in zip(succeeded, marked, strict=True) if clear}


def _caption(trials: Sequence[FinishedTrial], objectives: Sequence[str]) -> str:
    reference = reference_point(trials, len(objectives))
    shown = ", ".join(f"{value:.3f}" for value in reference)
    doubtful = within_error(trials)
    doubt = f"\n{len(doubtful)} more are dominated only within error: chance may keep them out" if doubtful else ""
    return f"hypervolume {_hypervolume(trials, reference):.4f} above ({shown}); ± one standard error{doubt}"


def _hypervolume(trials: Sequence[FinishedTrial], reference: tuple[float, ...]) -> float:
    values = [trial.values for trial in trials if trial.succeeded]
    return hypervolume(np.array(values).reshape(len(values), len(reference)), reference)


def _thinned(front: list[FinishedTrial], selected: FinishedTrial | None, max_rows: int) -> list[FinishedTrial]:
    kept = {round(i) for i in np.linspace(0, len(front) - 1, min(max_rows, len(front)))}
    return [trial for i, trial in enumerate(front) if i in kept or trial is selected]


def _cells(trial: FinishedTrial) -> list[str]:
    pairs = zip(trial.values, trial.standard_errors, strict=True)
    return [f"{value:8.4f}" + ("" if error is None else f" ± {error:.4f}") for value, error in pairs]


def front_json(
    trials: Sequence[FinishedTrial],
    objectives: Sequence[str],
    selected: FinishedTrial | None,
    scores: Mapping[int, Mapping[str, Score]],
) -> dict[str, Any]:
    """The same for programs, with every score on held-out examples."""
    succeeded = [trial for trial in trials if trial.succeeded]
    reference = reference_point(trials, len(objectives))
    return {
        "objectives": list(objectives),
        "finished": len(trials),
        "failed": len(trials) - len(succeeded),
        "raced": sum(trial.was_stopped for trial in trials),
        "saved_evaluations": saved_evaluations(trials),
        "reference_point": list(reference),
        "hypervolume": _hypervolume(trials, reference) if succeeded else None,
        "selected": None if selected is None else selected.number,
        "front": [_trial_json(trial, objectives, scores) for trial in front_of(trials)],
        "within_error": within_error(trials),
        "landmarks": [_trial_json(trial, objectives, scores) for trial in succeeded if trial.landmark],
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
        "holdout": {
            measure.removesuffix(HOLDOUT): {"value": score.value, "standard_error": score.standard_error, "n": score.n}
            for measure, score in held_out.items()
        },
    }


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
