"""Says how many workers there are, when that changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

# Between two lines: of many workers that come or go together one line speaks.
_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Roll:
    """The workers of a pool.

    Args:
        n_workers: that there shall be.
        n_alive: that have loaded their models.
        n_loading: that are about to.
        needs: what a node must have free for each of the others.
    """

    n_workers: int
    n_alive: int
    n_loading: int
    needs: str

    def __str__(self) -> str:
        if self.n_alive >= self.n_workers:
            return f"All {self.n_workers} workers are there."
        n_waiting = self.n_workers - self.n_alive - self.n_loading
        parts = [f"{self.n_alive} of {self.n_workers} workers are there"]
        parts += [f"loading: {self.n_loading}"] if self.n_loading else []
        parts += [f"waiting for a node that has {self.needs} free: {n_waiting}"] if n_waiting > 0 else []
        return ", ".join(parts) + "."


class RollCall:
    """Says it by the log, which a terminal shows; a pool that was whole from the beginning says nothing.

    Args:
        clock: seconds, from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[int, int] | None = None
        self._next_at = clock() + _EVERY_S

    def is_news(self, n_alive: int, n_workers: int) -> bool:
        """Whether it should be said now: at once if none is left, and otherwise not just after the last time."""
        if self._last is None and n_alive == n_workers:
            self._last = n_alive, n_workers
        all_are_lost = self._last is not None and self._last[0] > 0 and not n_alive and n_workers > 0
        return (n_alive, n_workers) != self._last and (all_are_lost or self._clock() >= self._next_at)

    def say(self, roll: Roll) -> None:
        """Say it."""
        _log.warning("%s", roll)
        self._last, self._next_at = (roll.n_alive, roll.n_workers), self._clock() + _EVERY_S
