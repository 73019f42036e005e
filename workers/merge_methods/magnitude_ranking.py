"""The magnitudes of a task vector, ranked once: any density then finds its threshold by a look-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A larger tensor keeps this many order statistics: 64 KiB, and a density is met to 1 / 16384 of the elements.
_MAX_KNOTS = 1 << 14


@dataclass(frozen=True, slots=True)
class MagnitudeRanking:
    """Order statistics of |expert - base|, from the largest down.

    The ranking depends on the checkpoints alone, never on the coefficients, so that no candidate sorts anything.

    Args:
        knots: `n_knots`, float32: the magnitude of rank ceil(i * n / n_knots) for i = 1 … n_knots.
        ranks: `n_knots`: those ranks, counted from 1.
    """

    knots: NDArray[np.float32]
    ranks: NDArray[np.int64]

    @classmethod
    def measure(cls, base: Tensor, expert: Tensor) -> MagnitudeRanking:
        """Sort one task vector: a float32 temporary of the tensor's size, once per worker."""
        # A copy, also where the expert is float32 on the CPU already: it is overwritten below.
        delta = expert.detach().to("cpu", torch.float32, copy=True).reshape(-1)
        delta.sub_(base.detach().to("cpu").reshape(-1)).abs_()
        ascending = delta.numpy()
        ascending.sort()
        n = len(ascending)
        n_knots = min(n, _MAX_KNOTS)
        ranks = -(-np.arange(1, n_knots + 1, dtype=np.int64) * n // n_knots)
        return cls(knots=ascending[n - ranks].copy(), ranks=ranks)

    def threshold(self, density: float) -> float:
        """The magnitude at and above which the top `density` of the elements lie; 0 for all of them.

        At least one element is kept, and elements that equal the threshold are all kept.
        """
        if density >= 1:
            return 0.0
        wanted = max(1, int(density * self.ranks[-1]))
        knot = int(np.searchsorted(self.ranks, wanted))
        if knot > 0 and wanted - self.ranks[knot - 1] < self.ranks[knot] - wanted:
            knot -= 1
        return float(self.knots[knot])
