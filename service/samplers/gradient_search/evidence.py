"""What is known of points: values and gradients, as arrays that grow together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Rows of points.

    Args:
        points: `n_points x n_dims`, of the unit cube.
        values: `n_points x n_objectives`.
        gradients: `n_points x n_objectives x n_dims`, per unit of the cube; NaN where there is none.
        graded: `n_points`: whether there is one.
    """

    points: Array
    values: Array
    gradients: Array
    graded: NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int, n_objectives: int, n_dims: int) -> Evidence:
        """Room for so many points."""
        gradients = np.empty((n, n_objectives, n_dims))
        return cls(np.empty((n, n_dims)), np.empty((n, n_objectives)), gradients, np.empty(n, dtype=bool))

    def first(self, n: int) -> Evidence:
        """The first rows, not copied."""
        return Evidence(*(array[:n] for array in self._arrays))

    def opened(self, row: int, n: int) -> Evidence:
        """With a gap at a row; of `n` that are filled, those behind it move on."""
        rows = self
        if n == len(self.points):
            rows = Evidence.empty(2 * n, *self.gradients.shape[1:])
            for new, old in zip(rows._arrays, self._arrays, strict=True):
                new[:n] = old
        for array in rows._arrays:
            array[row + 1 : n + 1] = array[row:n].copy()
        return rows

    @property
    def n_plain(self) -> int:
        """How many points have come since the last one with gradients."""
        graded = np.flatnonzero(self.graded)
        return len(self.points) - 1 - int(graded[-1]) if len(graded) else len(self.points)

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.points, self.values, self.gradients, self.graded
