"""The hypervolume of a set of points: how much of the objective space it dominates, above a reference point.

Two objectives are swept in O(n log n), three by the dimension sweep of Fonseca et al. 2006 ("An Improved
Dimension-Sweep Algorithm for the Hypervolume Indicator"), also O(n log n) but for the list that it keeps sorted.
With more objectives, the points are taken one by one, the worst in the last objective first, and each adds what
the rest does not dominate: the exclusive hypervolume of While et al. 2012 ("A Fast Way of Calculating Exact
Hypervolumes"). In that order all that the rest shares with a point is as deep as the point itself in the last
objective, so that the problem has one objective less.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.pareto.dominance import non_dominated
from service.pareto.point_matrix import as_points


def hypervolume(points: NDArray[np.float64], reference: Sequence[float] | NDArray[np.float64]) -> float:
    """The exact volume that the points dominate above the reference point.

    Args:
        points: `n_points x n_objectives`, to be maximised.
        reference: `n_objectives`; points that do not exceed it in all objectives add nothing.

    Raises:
        ValueError: points or reference are not finite, or differ in the number of objectives.
    """
    matrix, origin = as_points(points), _as_reference(reference)
    if len(matrix) == 0:
        return 0.0
    if matrix.shape[1] != len(origin):
        raise ValueError(f"`reference` must have {matrix.shape[1]} objectives like the points, but got {len(origin)}.")
    heights = matrix - origin
    return _volume(heights[(heights > 0).all(axis=1)])


class RunningHypervolume:
    """The hypervolume of the points so far, one point at a time.

    A point costs one hypervolume of the present front, and nothing where the front already covers it.

    Args:
        reference: `n_objectives`, as in `hypervolume`.
    """

    def __init__(self, reference: Sequence[float] | NDArray[np.float64]) -> None:
        self._reference = _as_reference(reference)
        # Measured from the reference point.
        self._front = np.empty((0, len(self._reference)))
        self._value = 0.0

    @property
    def value(self) -> float:
        """The hypervolume of all points added so far."""
        return self._value

    def add(self, point: Sequence[float] | NDArray[np.float64]) -> float:
        """Count one more point.

        Returns:
            What it added: its exclusive hypervolume.

        Raises:
            ValueError: the point is not finite or has another number of objectives than the reference.
        """
        height = as_points(np.asarray([point]))[0]
        if len(height) != len(self._reference):
            raise ValueError(f"`point` must have {len(self._reference)} objectives, but got {len(height)}.")
        height = height - self._reference
        if (height <= 0).any() or (self._front >= height).all(axis=1).any():
            return 0.0
        # Rounding must not let the curve fall.
        gain = max(0.0, float(height.prod()) - _volume(np.minimum(self._front, height)))
        self._front = np.vstack([self._front[~(self._front <= height).all(axis=1)], height])
        self._value += gain
        return gain


def _as_reference(reference: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    origin = np.asarray(reference, dtype=np.float64)
    if origin.ndim != 1 or origin.size == 0 or not np.isfinite(origin).all():
        raise ValueError(f"`reference` must be one finite number per objective, but got {origin.tolist()}.")
    return origin


def _volume(heights: NDArray[np.float64]) -> float:
    """Hypervolume of positive points above the origin."""
    if len(heights) == 0:
        return 0.0
    match heights.shape[1]:
        case 1:
            return float(heights.max())
        case 2:
            return _area(heights)
        case 3:
            return _dimension_sweep(heights)
        case _:
            return _sum_of_exclusive(heights)


def _area(heights: NDArray[np.float64]) -> float:
    """Two objectives: from the right to the left, each step of the staircase is as high as the best so far."""
    x, y = heights[np.argsort(-heights[:, 0])].T
    return float((x - np.append(x[1:], 0.0)) @ np.maximum.accumulate(y))


def _dimension_sweep(heights: NDArray[np.float64]) -> float:
    """Three objectives: go down the third; the area that the points so far dominate holds until the next point."""
    descending = heights[np.argsort(-heights[:, 2])]
    below = np.append(descending[1:, 2], 0.0)
    staircase = _Staircase()
    return math.fsum(
        staircase.add(x, y) * (z - z_below) for (x, y, z), z_below in zip(descending.tolist(), below, strict=True)
    )


class _Staircase:
    """A front of two objectives, sorted by the first, and its area."""

    def __init__(self) -> None:
        # Between sentinels. From xs[i - 1] to xs[i] the dominated area is ys[i] high.
        self.xs = [0.0, math.inf]
        self.ys = [math.inf, 0.0]
        self.area = 0.0

    def add(self, x: float, y: float) -> float:
        """Add a positive point; returns the area after it."""
        end = bisect_left(self.xs, x)
        if self.ys[end] >= y:
            return self.area
        start = end
        while self.ys[start - 1] <= y:
            start -= 1
        left = self.xs[start - 1]
        for step in range(start, end):
            self.area += (self.xs[step] - left) * (y - self.ys[step])
            left = self.xs[step]
        self.area += (x - left) * (y - self.ys[end])
        covered = slice(start, end + (self.xs[end] == x))
        self.xs[covered], self.ys[covered] = [x], [y]
        return self.area


def _sum_of_exclusive(heights: NDArray[np.float64]) -> float:
    """Four objectives or more: what each point adds to those that are better in the last objective."""
    front = np.unique(heights[non_dominated(heights)], axis=0)
    front = front[np.argsort(front[:, -1])]
    return math.fsum(
        point[-1] * (point[:-1].prod() - _volume(np.minimum(front[i + 1 :, :-1], point[:-1])))
        for i, point in enumerate(front)
    )
