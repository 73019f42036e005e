"""Which points stand for a front when there is room for a few of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from service.pareto.point_matrix import as_points


def spread(points: ArrayLike, n_chosen: int) -> list[int]:
    """Points far from each other: each is the farthest from all before it, so that any first few are spread as well.

    The ends come first, the best point of each objective; distances are of objectives scaled to [0, 1].

    Args:
        points: `n_points x n_objectives`, such as those of a front.
        n_chosen: how many, at most.

    Returns:
        Indices into `points`, each once; of a tie the first. Equal points count as one.
    """
    matrix = as_points(points)
    if not len(matrix):
        return []
    lowest, ranges = matrix.min(axis=0), np.ptp(matrix, axis=0)
    scaled = (matrix - lowest) / np.where(ranges > 0, ranges, 1.0)
    chosen = list(dict.fromkeys(int(index) for index in scaled.argmax(axis=0)))[:n_chosen]
    while chosen and len(chosen) < n_chosen:
        nearest = np.linalg.norm(scaled[:, None] - scaled[None, chosen], axis=2).min(axis=1)
        if not nearest.max():
            break
        chosen.append(int(nearest.argmax()))
    return chosen
