"""Which trial of a study is meant: by number, by constraint, or the knee of its front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SelectionError
from service.pareto import knee, non_dominated, parse_constraint, select_by_constraint
from service.studies import FinishedTrial


def front_of(trials: Sequence[FinishedTrial]) -> list[FinishedTrial]:
    """The non-dominated trials, the best in the first objective first."""
    succeeded = [trial for trial in trials if trial.succeeded]
    if not succeeded:
        return []
    kept = non_dominated(_values(succeeded))
    front = [trial for trial, keep in zip(succeeded, kept, strict=True) if keep]
    return sorted(front, key=lambda trial: (tuple(-value for value in trial.values), trial.number))


def select_trial(
    trials: Sequence[FinishedTrial],
    objectives: Sequence[str],
    number: int | None = None,
    constraints: Sequence[str] = (),
) -> FinishedTrial:
    """One trial.

    Args:
        trials: of the study.
        objectives: the names of their values.
        number: of a trial; it need not be on the front.
        constraints: such as `alignment>=0.9`; without any, the knee is taken.

    Raises:
        SelectionError: there is none such, or it failed.
    """
    succeeded = [trial for trial in trials if trial.succeeded]
    if not succeeded:
        raise SelectionError("A merge is selected from finished trials, but none has succeeded yet.")
    if number is not None and constraints:
        raise SelectionError(
            f"A trial is selected by number or by constraint, but got both: {number}, {constraints[0]}."
        )
    if number is not None:
        return _by_number(trials, number)
    if not constraints:
        return succeeded[knee(_values(succeeded))]
    parsed = [parse_constraint(text, objectives) for text in constraints]
    return succeeded[select_by_constraint(_values(succeeded), objectives, parsed)]


def _by_number(trials: Sequence[FinishedTrial], number: int) -> FinishedTrial:
    found = next((trial for trial in trials if trial.number == number), None)
    if found is None:
        last = max(trial.number for trial in trials)
        raise SelectionError(f"A trial must be one of the study's finished ones, 0 to {last}, but got {number}.")
    if not found.succeeded:
        raise SelectionError(f"Trial {number} cannot be selected: it failed ({found.failure}).")
    return found


def _values(trials: Sequence[FinishedTrial]) -> NDArray[np.float64]:
    return np.array([trial.values for trial in trials])
