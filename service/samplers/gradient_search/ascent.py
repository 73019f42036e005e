"""Climbing the model: many points at once, each towards its own direction of the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.samplers.gradient_search.gaussian_process import GradientProcess

Array = NDArray[np.float64]

_N_STEPS = 40
# In the unit cube of ten dimensions; distances grow with the root of their number.
_FIRST_STEP, _LAST_STEP, _REACH, _REFERENCE_DIMS = 0.06, 0.002, 0.5, 10
# Which of two objectives is the worse one is blurred over so much.
_BLUR = 0.03
# Adam's (Kingma and Ba 2015, arXiv:1412.6980), short of memory: there are few steps.
_MOMENTUM, _SQUARES = 0.8, 0.95


@dataclass(frozen=True, slots=True)
class Ascent:
    """Maximises min_j μ_j(x) / λ_j, for a direction λ of the front: the achievement of Chebyshev's scalarisation.

    The volume that a front dominates is the mean of the best achievements' powers over all directions (Zhang and
    Golovin 2020, Random hypervolume scalarizations, arXiv:2006.04655).

    Args:
        processes: one per objective.
        directions: `n x n_objectives`, positive.
        starts: `n x n_dims`.
    """

    processes: Sequence[GradientProcess]
    directions: Array
    starts: Array

    def run(self) -> Array:
        """The points reached, within the unit cube and not far from the starts: `n x n_dims`."""
        points, momentum, squares = self.starts, np.zeros_like(self.starts), np.zeros((len(self.starts), 1))
        scale = np.sqrt(self.starts.shape[1] / _REFERENCE_DIMS)
        for step in range(_N_STEPS):
            slopes = self._slopes(points)
            momentum = _MOMENTUM * momentum + (1 - _MOMENTUM) * slopes
            squares = _SQUARES * squares + (1 - _SQUARES) * (slopes**2).sum(axis=1, keepdims=True)
            length = np.sqrt(squares / (1 - _SQUARES ** (step + 1))) + 1e-12
            ahead = momentum / (1 - _MOMENTUM ** (step + 1)) / length
            size = _FIRST_STEP * (1 - step / _N_STEPS) + _LAST_STEP
            points = self._within(points + size * scale * ahead, _REACH * scale)
        return points

    def _slopes(self, points: Array) -> Array:
        """Of the achievement, blurred so that it can be differentiated."""
        expected = [process.mean(points) for process in self.processes]
        achieved = np.stack([values for values, _ in expected], axis=1) / self.directions
        shares = np.exp(-(achieved - achieved.min(axis=1, keepdims=True)) / _BLUR)
        shares /= shares.sum(axis=1, keepdims=True) * self.directions
        gradients = np.stack([gradient for _, gradient in expected], axis=1)  # n x n_objectives x n_dims
        found: Array = (shares[:, :, None] * gradients).sum(axis=1)
        return found

    def _within(self, points: Array, reach: float) -> Array:
        moved = points - self.starts
        lengths = np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
        inside: Array = np.clip(self.starts + moved * np.minimum(1.0, reach / lengths), 0.0, 1.0)
        return inside
