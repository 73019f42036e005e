"""One worker in this process: for tests, debugging and single evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe
from search_spaces.errors import PoolError
from workers.evaluation import Evaluation, Score
from workers.worker_pools._base import Setup, Task, WorkerPool


class InProcessPool(WorkerPool):
    """Evaluates when the result is asked for; a debugger stops inside.

    Args:
        setup: of its worker.

    Raises:
        CheckpointError: a model cannot be read.
    """

    def __init__(self, setup: Setup) -> None:
        # Only a candidate worker saves; who asks a text worker to is told so by Python.
        self._worker: Any = setup.worker_class(setup)  # type: ignore[arg-type]
        self._waiting: tuple[int, Task] | None = None
        self._n_workers = 1

    @property
    def n_workers(self) -> int:
        """See `WorkerPool.n_workers`."""
        return self._n_workers

    @property
    def n_alive(self) -> int:
        """See `WorkerPool.n_alive`; the worker stays loaded though it rests."""
        return self._n_workers

    @property
    def n_under_way(self) -> int:
        """See `WorkerPool.n_under_way`."""
        return int(self._waiting is not None)

    def resize(self, n_workers: int) -> None:
        """See `WorkerPool.resize`; 0 lets the one worker rest."""
        if n_workers not in (0, 1):
            raise PoolError(f"A pool in this process has one worker or none, but got {n_workers}. Use a pool on Ray.")
        self._n_workers = n_workers

    def submit(self, ticket: int, task: Task) -> None:
        """See `WorkerPool.submit`."""
        if not self.has_free_worker:
            raise PoolError("A candidate is submitted to a free worker only, but the one worker is busy, or rests.")
        self._waiting = (ticket, task)

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        """See `WorkerPool.next_finished`; an evaluation that has begun is not cut off by the time."""
        if self._waiting is None:
            return None
        ticket, task = self._waiting
        self._waiting = None
        return ticket, self._worker.evaluate(task)

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """See `WorkerPool.save`."""
        self._worker.save(recipe, folder, max_shard_size)

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """See `WorkerPool.score_saved`."""
        scores: dict[str, Score] = self._worker.score_saved(folder, measures)
        return scores

    def close(self) -> None:
        """See `WorkerPool.close`."""
        self._waiting = None
