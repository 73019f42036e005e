"""How a running search is steered from outside: with how many workers, and whether it shall stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from workers.worker_pools import WorkerPool

# How often a course is looked at, also while evaluations take long.
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Course:
    """What is wanted of a running search.

    Args:
        n_workers: that it shall hold; None leaves its pool as it is.
        is_stopping: whether to ask for no further candidate; those under way are finished.
    """

    n_workers: int | None = None
    is_stopping: bool = False


class Helm:
    """Lets a pool follow the course.

    Args:
        pool: the search's workers.
        read_course: told of the pool as it is, says what is wanted now; None for a search that nobody steers.
    """

    def __init__(self, pool: WorkerPool, read_course: Callable[[WorkerPool], Course] | None = None) -> None:
        self._pool = pool
        self._read_course = read_course
        self._course = Course()
        self._looked_at: float | None = None

    def is_stopping(self) -> bool:
        """Whether no further candidate is wanted; now and then looks at the course, and the pool follows."""
        now = time.monotonic()
        if self._read_course and (self._looked_at is None or now - self._looked_at >= LOOK_EVERY_S):
            self._looked_at = now
            self._course = self._read_course(self._pool)
            self._follow()
        return self._course.is_stopping

    def _follow(self) -> None:
        wanted = self._course.n_workers
        if wanted is None:
            return
        if self._course.is_stopping:
            wanted = min(wanted, self._pool.n_under_way)
        if wanted != self._pool.n_workers:
            self._pool.resize(wanted)
