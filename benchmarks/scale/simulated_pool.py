"""A pool whose workers only wait: evaluations take the time that is drawn for them, and score coefficients."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scale.durations import Durations
from benchmarks.scale.landscape import Landscape
from search_spaces import MergeRecipe
from search_spaces.errors import PoolError
from workers.evaluation import Assignment, Evaluation, Score
from workers.worker_pools import WorkerPool
from workers.worker_pools._base import Task


@dataclass(frozen=True, slots=True)
class Shift:
    """One evaluation: when its worker began, and for how long it had work.

    Args:
        started_s: on the clock of `time.perf_counter`.
        duration_s: as drawn.
    """

    started_s: float
    duration_s: float

    def within_s(self, start_s: float, end_s: float) -> float:
        """How much of it lies between two moments."""
        return max(0.0, min(self.started_s + self.duration_s, end_s) - max(self.started_s, start_s))


class SimulatedPool(WorkerPool):
    """Any number of workers, all in this thread: one is busy from its submission until its time is over.

    A worker whose evaluation is over idles until the driver takes the result and hands it the next candidate: that is
    what the driver costs.

    Args:
        n_workers: how many.
        durations: of evaluations.
        n_examples: whose scores come back for each objective, as a scorer's would.
    """

    def __init__(self, n_workers: int, durations: Durations, n_examples: int = 100) -> None:
        self._n_workers = n_workers
        self._durations = durations
        self._landscape = Landscape(n_examples)
        self._under_way: list[tuple[float, int, Evaluation]] = []
        self.shifts: list[Shift] = []
        self.waited_s = 0.0

    @property
    def n_workers(self) -> int:
        """See `WorkerPool`."""
        return self._n_workers

    @property
    def n_alive(self) -> int:
        """See `WorkerPool`."""
        return self._n_workers

    @property
    def n_under_way(self) -> int:
        """See `WorkerPool`."""
        return len(self._under_way)

    def resize(self, n_workers: int) -> None:
        """See `WorkerPool`."""
        self._n_workers = n_workers

    def submit(self, ticket: int, task: Task) -> None:
        """See `WorkerPool`."""
        if not self.has_free_worker:
            raise PoolError(f"A worker must be free, but {self.n_under_way} candidates are under way.")
        assert isinstance(task, Assignment)
        cost = task.gradient.cost if task.gradient else 1.0
        shift = Shift(time.perf_counter(), cost * self._durations.draw_s())
        self.shifts.append(shift)
        evaluation = replace(self._landscape.evaluate(task), score_s=shift.duration_s)
        heapq.heappush(self._under_way, (shift.started_s + shift.duration_s, ticket, evaluation))

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        """See `WorkerPool`."""
        if not self._under_way:
            return None
        left_s = self._under_way[0][0] - time.perf_counter()
        wait_s = max(0.0, left_s if timeout_s is None else min(left_s, timeout_s))
        if wait_s:
            time.sleep(wait_s)
            self.waited_s += wait_s
        if wait_s < left_s:
            return None
        _, ticket, evaluation = heapq.heappop(self._under_way)
        return ticket, evaluation

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """Nothing is merged here."""
        raise NotImplementedError

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """Nothing is merged here."""
        raise NotImplementedError

    def close(self) -> None:
        """See `WorkerPool`."""
        self._under_way.clear()
