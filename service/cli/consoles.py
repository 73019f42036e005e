"""Where the commands write: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

results = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


def print_json(values: Any) -> None:
    """A result for programs."""
    print(json.dumps(values, indent=2))


class BarView:
    """A bar with a count and a description, which shows nothing where nobody watches; a context manager.

    Args:
        total: of the count; None while it is not known.
        completed: of it, from the start.
    """

    def __init__(self, total: int | None = None, completed: int = 0) -> None:
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=messages, disable=not messages.is_terminal)
        self._task = self._bar.add_task("starting workers", total=total, completed=completed)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def seconds(value: float) -> str:
    """A duration for people: 0.42 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if value < 10:
        return f"{value:.2g} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    return (
        f"{int(value // 60)} min {int(value % 60):02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )


def amount(evaluations: float) -> str:
    """Evaluations, with two digits at most after the point: a part of a backward pass is a fraction of one."""
    return f"{round(evaluations, 2):.12g}"


def progress_text(spent: float, budget: float, n_trials: int) -> str:
    """How far a search is: 60 of 300 evaluations in 20 trials; trials are told where they are fewer."""
    return f"{amount(spent)} of {amount(budget)} evaluations{trials_text(spent, n_trials)}"


def trials_text(spent: float, n_trials: int) -> str:
    """After a number of evaluations: " in 20 trials"; "" where each trial was one evaluation."""
    return "" if round(spent, 2) == n_trials else f" in {n_trials} trial{'s'[: n_trials != 1]}"


def megabytes(value: int) -> str:
    """A size for people."""
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"
