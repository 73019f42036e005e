"""How much of their time workers had work; and how much they could have had."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scale.simulated_pool import Shift


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Shares of the workers' time.

    Args:
        filled: from the first submission to the last: as long as there is work for all.
        whole: from the first submission until the last evaluation is over, when most workers have run out of work.
        ideal: of the whole, with a driver that takes no time.
    """

    filled: float
    whole: float
    ideal: float


def utilisation(shifts: Sequence[Shift], n_workers: int) -> Utilisation:
    """Of workers that had these evaluations."""
    first, last = min(shift.started_s for shift in shifts), max(shift.started_s for shift in shifts)
    end = max(shift.started_s + shift.duration_s for shift in shifts)
    work_s = sum(shift.duration_s for shift in shifts)
    within_s = sum(shift.within_s(first, last) for shift in shifts)
    return Utilisation(
        filled=_share(within_s, n_workers * (last - first)),
        whole=_share(work_s, n_workers * (end - first)),
        ideal=_share(work_s, n_workers * _ideal_s([shift.duration_s for shift in shifts], n_workers)),
    )


def _ideal_s(durations: Sequence[float], n_workers: int) -> float:
    """Each evaluation goes to the worker that is free first."""
    free = [0.0] * n_workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
