"""Objectives in the numbers that a model learns best, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Of the way from the reference to the bound: closer to it, differences no longer count.
_NEAR = 0.01


@dataclass(frozen=True, slots=True)
class Scales:
    """The reference is 0, the best value known 1; what has an upper bound b is learnt as -log(b - y).

    A likelihood flattens towards its bound, as an exponential does: its logarithm is close to a parabola, and
    no prediction lies beyond the bound.

    Args:
        reference: `n_objectives`, see `Archive.reference`.
        best: `n_objectives`, the best value known in each.
        upper_bounds: NaN where there is none.
    """

    reference: Array
    best: Array
    upper_bounds: Array

    @classmethod
    def of(cls, values: Array, reference: Array, upper_bounds: Sequence[float | None]) -> Scales:
        """Those of the values known, `n_points x n_objectives`."""
        given = [np.nan if bound is None else bound for bound in upper_bounds] or [np.nan] * values.shape[1]
        bounds, best = np.array(given), values.max(axis=0)
        # Below all landmarks nothing is worth a scale of its own.
        best = np.maximum(best, reference + 1e-12)
        return cls(reference, best, np.where(bounds >= best, bounds, np.nan))

    @property
    def _near(self) -> Array:
        return _NEAR * (self.upper_bounds - self.reference)

    def _learnt(self, values: Array) -> Array:
        """Before it is scaled."""
        with np.errstate(invalid="ignore"):
            logarithms = -np.log(self.upper_bounds - values + self._near)
        return np.where(np.isnan(self.upper_bounds), values, logarithms)

    @property
    def _ends(self) -> tuple[Array, Array]:
        low = self._learnt(self.reference)
        return low, self._learnt(self.best) - low

    def learnt(self, values: Array) -> Array:
        """What is learnt of values: `n_points x n_objectives`."""
        low, width = self._ends
        found: Array = (self._learnt(values) - low) / width
        return found

    def slopes(self, values: Array, gradients: Array) -> Array:
        """What is learnt of gradients at these values: `n_points x n_objectives x n_dims`."""
        bent = np.isnan(self.upper_bounds)
        rates = np.where(bent, 1.0, 1.0 / (np.where(bent, 1.0, self.upper_bounds - values + self._near)))
        found: Array = gradients * (rates / self._ends[1])[:, :, None]
        return found

    def height(self, learnt: Array) -> Array:
        """Values above the reference, 1 for the best: `n_points x n_objectives`, where hypervolume is counted."""
        low, width = self._ends
        raw = learnt * width + low
        bent = np.isnan(self.upper_bounds)
        with np.errstate(invalid="ignore"):
            values = np.where(bent, raw, self.upper_bounds + self._near - np.exp(np.where(bent, 0.0, -raw)))
        found: Array = (values - self.reference) / (self.best - self.reference)
        return found
