"""Which points no other point dominates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.pareto.point_matrix import as_points

# Rows compared at once: 256 x 5,000 booleans are 1.3 MB, which stays in the cache.
_BLOCK = 256


def non_dominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the Pareto front.

    A point dominates another if it is at least as good in every objective and better in one. Equal points do not
    dominate each other: all copies of a point of the front are kept.

    Args:
        points: `n_points x n_objectives`, to be maximised.

    Returns:
        `n_points` booleans, in the order of the points.
    """
    matrix = as_points(points)
    if len(matrix) == 0:
        return np.zeros(0, dtype=np.bool_)
    # Sorted from the best first objective down: a row can then be dominated only by rows before it.
    ascending, row_of_point = np.unique(matrix, axis=0, return_inverse=True)
    rows = ascending[::-1]
    kept = _sweep(rows) if rows.shape[1] == 2 else _blockwise(rows)
    return kept[::-1][row_of_point]


def certainly_dominated(points: NDArray[np.float64], standard_errors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the points that another one beats by more than the uncertainty of their difference.

    The other is at least as good in every objective, and in one of them better by more than one standard error of
    the difference, √(e₁² + e₂²). That is wider than a paired comparison's where the examples are the same: on the
    safe side. A point that is dominated, but not by so much, may belong to the front.

    Args:
        points: `n_points x n_objectives`, to be maximised.
        standard_errors: of the same shape.

    Returns:
        `n_points` booleans, in the order of the points.
    """
    dominance = RunningDominance()
    dominance.add(points, standard_errors)
    return dominance.marked


class RunningDominance:
    """`certainly_dominated` of the points so far, some points at a time: points only come, so that a mark stays.

    A batch costs its size times the number of all points, and not the square of that number.
    """

    def __init__(self) -> None:
        self._points: NDArray[np.float64] | None = None
        self._errors: NDArray[np.float64] | None = None
        self._marked = np.zeros(0, dtype=np.bool_)

    @property
    def marked(self) -> NDArray[np.bool_]:
        """`n_points` booleans, in the order in which the points were added."""
        return self._marked.copy()

    def add(self, points: NDArray[np.float64], standard_errors: NDArray[np.float64]) -> None:
        """Add points, as in `certainly_dominated`."""
        new, errors = as_points(points), as_points(standard_errors)
        if len(new) == 0:
            return
        open_rows = np.flatnonzero(~self._marked)
        if self._points is None or self._errors is None:
            self._points, self._errors = new, errors
        else:
            self._marked[open_rows] = _beaten(self._points[open_rows], self._errors[open_rows], new, errors)
            self._points, self._errors = np.vstack([self._points, new]), np.vstack([self._errors, errors])
        self._marked = np.concatenate([self._marked, self._judged(new, errors)])

    def _judged(self, new: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Marks of new points. Most are far behind the front: the few that it leaves are compared with all."""
        assert self._points is not None
        assert self._errors is not None
        front = non_dominated(self._points)
        marked = _beaten(new, errors, self._points[front], self._errors[front])
        left = ~marked
        marked[left] = _beaten(new[left], errors[left], self._points, self._errors)
        return marked


def _beaten(
    points: NDArray[np.float64],
    errors: NDArray[np.float64],
    others: NDArray[np.float64],
    others_errors: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Mark the points that one of the others beats by more than the uncertainty of their difference."""
    marked = np.zeros(len(points), dtype=np.bool_)
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        beyond = np.zeros((len(points[rows]), len(others)), dtype=np.bool_)
        for objective in range(points.shape[1]):
            gain = others[:, objective] - points[rows, objective, None]
            beyond |= gain > np.hypot(others_errors[:, objective], errors[rows, objective, None])
        marked[rows] = (_covers(others, points[rows]) & beyond).any(axis=1)
    return marked


def _sweep(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For two objectives: a row is kept if its second is better than that of all rows before."""
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], rows[:-1, 1]]))
    return np.asarray(rows[:, 1] > best_before)


def _blockwise(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For any number of objectives: compare each block with the front so far, then with itself."""
    kept = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(rows)))
        block = block[~_covers(rows[kept], rows[block]).any(axis=1)]
        # Every row covers itself; the rows are unique, so that a second cover is a dominating one.
        kept[block] = _covers(rows[block], rows[block]).sum(axis=1) == 1
    return kept


def _covers(others: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`n_rows x n_others`: whether the other is at least as good in every objective."""
    covers = np.ones((len(rows), len(others)), dtype=np.bool_)
    for objective in range(rows.shape[1]):
        covers &= others[:, objective] >= rows[:, objective, None]
    return covers
