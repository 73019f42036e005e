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
    matrix, errors = as_points(points), as_points(standard_errors)
    marked = np.zeros(len(matrix), dtype=np.bool_)
    for start in range(0, len(matrix), _BLOCK):
        rows = slice(start, start + _BLOCK)
        beyond = np.zeros((len(matrix[rows]), len(matrix)), dtype=np.bool_)
        for objective in range(matrix.shape[1]):
            gain = matrix[:, objective] - matrix[rows, objective, None]
            beyond |= gain > np.hypot(errors[:, objective], errors[rows, objective, None])
        marked[rows] = (_covers(matrix, matrix[rows]) & beyond).any(axis=1)
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
