"""A front as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from service.results import Standing
from service.search.measures import HOLDOUT
from service.search.selection import front_of
from service.studies import FinishedTrial
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
    standing = Standing(trials, len(objectives))
    front = standing.front
    for trial in front if max_rows is None else _thinned(front, selected, max_rows):
        chosen = selected is not None and trial.number == selected.number
        style = "bold green" if chosen else "bold"
        table.add_row(trial.label, *_cells(trial), "selected" if chosen else "front", style=style)
    for trial in standing.succeeded:
        if trial.landmark and trial not in front:
            verdict = "dominated" if trial.number in standing.clearly_dominated else "dominated within error"
            table.add_row(trial.label, *_cells(trial), verdict, style="dim")
    table.caption = _caption(standing)
    table.caption_justify = "left"
    return table


def holdout_table(
    trials: Sequence[FinishedTrial],
    objectives: Sequence[str],
    scores: Mapping[int, Mapping[str, Score]],
    selected: FinishedTrial | None = None,
) -> Table | None:
    """The front and the landmarks on held-out examples, with the gap to what the search saw; None without any."""
    front = front_of(trials)
    landmarks = [trial for trial in trials if trial.landmark and trial.succeeded and trial not in front]
    verdicts = {trial.number: _held_out(scores.get(trial.number, {})) for trial in (*front, *landmarks)}
    held_out = sorted({measure for verdict in verdicts.values() for measure in verdict})
    shown = [trial for trial in front if verdicts[trial.number].keys() >= set(held_out)]
    if not held_out or not shown:
        return None
    names = sorted((m.removesuffix(HOLDOUT) for m in held_out), key=lambda name: (name not in objectives, name))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("on held-out examples")
    for name in names:
        table.add_column(f"{name} (gap)" if name in objectives else name, justify="right")
    for trial in (*shown, *(landmark for landmark in landmarks if verdicts[landmark.number])):
        chosen = selected is not None and trial.number == selected.number
        cells = [_holdout_cell(trial, name, objectives, verdicts[trial.number]) for name in names]
        table.add_row(trial.label, *cells, style="bold green" if chosen else "dim" if trial.landmark else "")
    return table


def _held_out(scores: Mapping[str, Score]) -> dict[str, Score]:
    return {measure: score for measure, score in scores.items() if measure.endswith(HOLDOUT)}


def _holdout_cell(trial: FinishedTrial, name: str, objectives: Sequence[str], scores: Mapping[str, Score]) -> str:
    score = scores.get(f"{name}{HOLDOUT}")
    if score is None:
        return ""
    if name not in objectives:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} ({score.value - trial.values[list(objectives).index(name)]:+.3f})"


def _caption(standing: Standing) -> str:
    shown = ", ".join(f"{value:.3f}" for value in standing.reference_point)
    doubtful = standing.within_error
    doubt = f"\n{len(doubtful)} more are dominated only within error: chance may keep them out" if doubtful else ""
    failures = _gradient_failures(standing.trials)
    return f"hypervolume {standing.hypervolume or 0.0:.4f} above ({shown}); ± one standard error{doubt}{failures}"


def _gradient_failures(trials: Sequence[FinishedTrial]) -> str:
    """Gradients that were paid for and could not be had: too many of them, and the search is blind."""
    without = [trial for trial in trials if trial.gradient_failure]
    if not without:
        return ""
    n, last = len(without), without[-1]
    have = f"{n} trial{'s'[: n - 1]} {'has' if n == 1 else 'have'} values and no gradients"
    return f"\n{have}; of {last.label}: {last.gradient_failure}"


def _thinned(front: Sequence[FinishedTrial], selected: FinishedTrial | None, max_rows: int) -> list[FinishedTrial]:
    kept = {round(i) for i in np.linspace(0, len(front) - 1, min(max_rows, len(front)))}
    return [trial for i, trial in enumerate(front) if i in kept or trial is selected]


def _cells(trial: FinishedTrial) -> list[str]:
    pairs = zip(trial.values, trial.standard_errors, strict=True)
    return [f"{value:8.4f}" + ("" if error is None else f" ± {error:.4f}") for value, error in pairs]
