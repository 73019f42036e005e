"""How the cost of a trial grows with the trials before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PARTS = 10


def by_parts(marks: Sequence[float], n_parts: int = PARTS) -> list[float]:
    """What a trial cost, in each part of the run.

    Args:
        marks: of a clock, one before the first trial and one after each.
        n_parts: of the same number of trials, but for the last.
    """
    ends = np.linspace(0, len(marks) - 1, n_parts + 1).round().astype(int)
    given = np.asarray(marks)
    return list((np.diff(given[ends]) / np.maximum(1, np.diff(ends))).tolist())


@dataclass(frozen=True, slots=True)
class Growth:
    """A law of the cost per trial, fitted by least squares.

    Args:
        start_ms: of the straight line, at no trials.
        slope_ms: of the straight line, per thousand trials.
        exponent: of the power law, cost ~ trials ^ exponent: 0 where it does not grow.
    """

    start_ms: float
    slope_ms: float
    exponent: float

    def __str__(self) -> str:
        return f"{self.start_ms:.2f} ms {self.slope_ms:+.3f} ms per thousand trials; as a power, N^{self.exponent:+.2f}"


def growth(costs_ms: Sequence[float], trials_per_part: float) -> Growth:
    """The law of costs by parts."""
    middles = (np.arange(len(costs_ms)) + 0.5) * trials_per_part / 1000
    slope, start = np.polyfit(middles, costs_ms, 1)
    exponent, _ = np.polyfit(np.log(middles), np.log(np.maximum(costs_ms, 1e-9)), 1)
    return Growth(float(start), float(slope), float(exponent))
