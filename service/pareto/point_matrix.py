"""The check that every function of this package makes of its points."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_points(points: ArrayLike) -> NDArray[np.float64]:
    """`n_points x n_objectives` finite numbers.

    Non-finite scores are failures and have no place on a front; NaN in particular would compare as never dominated.

    Returns:
        The same numbers as a float64 matrix; an empty list becomes a matrix without rows.

    Raises:
        ValueError: another shape, no objective, or a number that is not finite.
    """
    matrix = np.asarray(points, dtype=np.float64)
    if matrix.shape == (0,):
        return matrix.reshape(0, 1)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"`points` must be `n_points x n_objectives` with an objective, but got shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise ValueError(f"`points` must be finite, but got {matrix[row].tolist()} at index {row}: leave it out.")
    return matrix
