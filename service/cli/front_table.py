"""A front as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from service.pareto import hypervolume
from service.plots import PlottedPoint
from service.search.selection import front_of
from service.studies import FinishedTrial, reference_point


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
    for trial in trials:
        if trial.landmark and trial.succeeded and trial not in front:
            table.add_row(trial.label, *_cells(trial), "dominated", style="dim")
    table.caption = _caption(trials, objectives)
    table.caption_justify = "left"
    return table


def _caption(trials: Sequence[FinishedTrial], objectives: Sequence[str]) -> str:
    reference = reference_point(trials, len(objectives))
    shown = ", ".join(f"{value:.3f}" for value in reference)
    return f"hypervolume {_hypervolume(trials, reference):.4f} above ({shown}); ± one standard error"


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
    trials: Sequence[FinishedTrial], objectives: Sequence[str], selected: FinishedTrial | None
) -> dict[str, Any]:
    """The same for programs."""
    succeeded = [trial for trial in trials if trial.succeeded]
    reference = reference_point(trials, len(objectives))
    return {
        "objectives": list(objectives),
        "finished": len(trials),
        "failed": len(trials) - len(succeeded),
        "reference_point": list(reference),
        "hypervolume": _hypervolume(trials, reference) if succeeded else None,
        "selected": None if selected is None else selected.number,
        "front": [_trial_json(trial, objectives) for trial in front_of(trials)],
        "landmarks": [_trial_json(trial, objectives) for trial in succeeded if trial.landmark],
    }


def _trial_json(trial: FinishedTrial, objectives: Sequence[str]) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "landmark": trial.landmark or None,
        "values": dict(zip(objectives, trial.values, strict=True)),
        "standard_errors": dict(zip(objectives, trial.standard_errors, strict=True)),
    }


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
