"""The contract of a worker pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from search_spaces import MergeRecipe
from workers.candidate_worker import WorkerSetup
from workers.evaluation import Assignment, Evaluation, Score
from workers.text_worker import TextTask, TextWorkerSetup

# What workers can be asked, by the kind of worker that their setup makes of them.
Task = Assignment | TextTask
Setup = WorkerSetup | TextWorkerSetup


class WorkerPool(ABC):
    """Workers that evaluate candidates, or that answer; a context manager, which releases them.

    A ticket is the caller's number for a task, such as its trial's. Whatever happens to a worker,
    every submitted ticket comes back exactly once.
    """

    @property
    @abstractmethod
    def n_workers(self) -> int:
        """How many candidates can be under way at once."""

    @property
    @abstractmethod
    def n_under_way(self) -> int:
        """How many are."""

    @property
    def has_free_worker(self) -> bool:
        """Whether a submission would start at once."""
        return self.n_under_way < self.n_workers

    @abstractmethod
    def submit(self, ticket: int, task: Task) -> None:
        """Hand a task to a free worker.

        Raises:
            PoolError: no worker is free.
        """

    @abstractmethod
    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        """The next ticket that is finished, and its evaluation.

        Args:
            timeout_s: how long to wait; None waits until one is finished.

        Returns:
            None when the time is over, or when nothing is under way.

        Raises:
            PoolError: lost workers cannot be replaced.
            UserError, GenerationError: a model, a set or an endpoint cannot be used; no other task would fare better.
        """

    @abstractmethod
    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """Let an idle worker write a candidate as a Hugging Face folder; `folder` must be reachable from it."""

    @abstractmethod
    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """Let an idle worker load a saved model by itself and score it."""

    @abstractmethod
    def close(self) -> None:
        """Release the workers; nothing that is under way comes back."""

    def evaluate(self, task: Task) -> Evaluation:
        """Submit to an idle pool and wait."""
        self.submit(-1, task)
        finished = self.next_finished()
        assert finished is not None  # nothing else is under way, and every ticket comes back
        return finished[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
