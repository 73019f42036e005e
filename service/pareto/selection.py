"""How one point of the front is selected: the knee, or the best under constraints."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SelectionError
from service.pareto.dominance import non_dominated
from service.pareto.point_matrix import as_points

_COMPARISONS: dict[str, Literal[">=", "<="]] = {">=": ">=", "<=": "<=", "≥": ">=", "≤": "<="}
_CONSTRAINT = re.compile(rf"(.+?)\s*({'|'.join(_COMPARISONS)})(.+)", re.DOTALL)

# Scores are sums of a few numbers in [0, 1]: what differs less differs by rounding, and is a tie.
_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a point must reach in one objective.

    Args:
        objective: its name.
        comparison: of the point's value with the bound.
        bound: a finite number; a value equal to it satisfies the constraint.
    """

    objective: str
    comparison: Literal[">=", "<="]
    bound: float

    def satisfied_by(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value of the objective is on the right side of the bound."""
        return values >= self.bound if self.comparison == ">=" else values <= self.bound

    def best(self, values: NDArray[np.float64]) -> float:
        """The value that is farthest on the right side of the bound, or nearest to it."""
        return float(values.max() if self.comparison == ">=" else values.min())

    def __str__(self) -> str:
        return f"{self.objective}{self.comparison}{self.bound}"


def parse_constraint(text: str, objectives: Sequence[str]) -> Constraint:
    """Read `alignment>=0.9`, `restraint <= -2e-1` or `alignment ≥ 0.9`.

    Raises:
        SelectionError: it is not of that form, or names no objective.
    """
    parts = _CONSTRAINT.fullmatch(text.strip())
    objective = parts[1] if parts else ""
    bound = _finite(parts[3]) if parts else None
    if parts is None or objective not in objectives or bound is None:
        raise SelectionError(
            "A constraint must be an objective, `>=` or `<=`, and a finite number, "
            f"such as '{next(iter(objectives), 'alignment')}>=0.9', but got {text!r}. "
            f"Objectives: {', '.join(objectives)}."
        )
    return Constraint(objective, _COMPARISONS[parts[2]], bound)


def knee(points: NDArray[np.float64]) -> int:
    """The point of the front with the largest sum of objectives, each scaled to [0, 1] over the front.

    With two objectives that is the point farthest out from the line between the two ends of the front, as scaled: the
    knee of Das 1999 ("On characterizing the 'knee' of the Pareto curve based on Normal-Boundary Intersection"). Where
    all of the front lies behind that line, it is an end.

    Args:
        points: `n_points x n_objectives`, to be maximised; dominated points are passed over.

    Returns:
        The index into `points`; the first of a tie. An objective in which all of the front is equal counts nothing.

    Raises:
        SelectionError: there are no points.
    """
    matrix = as_points(points)
    front = _front_of(matrix)
    return _best(front, _scaled(matrix[front]).sum(axis=1))


def select_by_constraint(
    points: NDArray[np.float64], objectives: Sequence[str], constraints: Sequence[Constraint]
) -> int:
    """The best point of the front among those that satisfy all constraints.

    What is constrained is settled by the constraint; the best is that with the largest sum of the other objectives,
    scaled as in `knee`. If all objectives are constrained, all count.

    Args:
        points: `n_points x n_objectives`, to be maximised; dominated points are passed over.
        objectives: the names of the columns.
        constraints: on these objectives; several on one objective are allowed.

    Returns:
        The index into `points`; the first of a tie.

    Raises:
        SelectionError: there are no points, no point satisfies the constraints, or one is not on these objectives.
    """
    matrix, names = as_points(points), list(objectives)
    front = _front_of(matrix)
    if matrix.shape[1] != len(names):
        raise ValueError(f"`objectives` must name the {matrix.shape[1]} columns of the points, but got {names}.")
    if unknown := [str(constraint) for constraint in constraints if constraint.objective not in names]:
        raise SelectionError(f"A constraint must be on one of {', '.join(names)}, but got {', '.join(unknown)}.")
    columns = {constraint: matrix[front, names.index(constraint.objective)] for constraint in constraints}
    satisfied = np.ones(len(front), dtype=np.bool_)
    for constraint, values in columns.items():
        satisfied &= constraint.satisfied_by(values)
    if not satisfied.any():
        raise SelectionError(_none_satisfies(columns))
    constrained = {constraint.objective for constraint in constraints}
    counting = [i for i, name in enumerate(names) if name not in constrained] or list(range(len(names)))
    scores = _scaled(matrix[front])[:, counting].sum(axis=1)
    return _best(front[satisfied], scores[satisfied])


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _front_of(matrix: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the front."""
    if len(matrix) == 0:
        raise SelectionError(
            "A point can be selected from one evaluated candidate or more, but got none: wait for the first."
        )
    return np.flatnonzero(non_dominated(matrix))


def _scaled(front: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each objective scaled to [0, 1]; 0 where all are equal."""
    lowest, ranges = front.min(axis=0), np.ptp(front, axis=0)
    return np.asarray((front - lowest) / np.where(ranges > 0, ranges, 1.0))


def _best(indices: NDArray[np.intp], scores: NDArray[np.float64]) -> int:
    return int(indices[np.flatnonzero(scores >= scores.max() - _TIE)[0]])


def _none_satisfies(columns: dict[Constraint, NDArray[np.float64]]) -> str:
    wanted = " and ".join(str(constraint) for constraint in columns)
    reached = ", ".join(
        f"{constraint.objective} {constraint.best(values):.6g}" for constraint, values in columns.items()
    )
    each = ", each by itself" if len(columns) > 1 else ""
    return (
        f"A selected point must satisfy {wanted}, but no point of the front does. "
        f"The best it reaches{each}: {reached}. Loosen the constraint, or search on."
    )
