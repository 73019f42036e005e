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
        """How many there shall be; as many candidates can be under way at once when all of them are."""

    @property
    @abstractmethod
    def n_alive(self) -> int:
        """How many have loaded their models."""

    @property
    @abstractmethod
    def n_under_way(self) -> int:
        """How many candidates are."""

    @property
    def has_free_worker(self) -> bool:
        """Whether a submission would start at once: on a worker that has loaded its models."""
        return self.n_under_way < min(self.n_workers, self.n_alive)

    @abstractmethod
    def resize(self, n_workers: int) -> None:
        """Change how many workers there are; returns at once, and cuts no evaluation short.

        New ones load their models in the background. Of those that are too many, the busy ones go when they
        have finished. Without any, nothing can be submitted.

        Raises:
            PoolError: the pool cannot have so many.
        """

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
            None when the time is over, or when nothing is under way; if no worker is free then, one that still
            loads its models is waited for.

        Raises:
            PoolError: new workers, or those in place of lost ones, cannot be started.
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
        if not self.has_free_worker:
            self.next_finished()  # the last worker was lost, and its successor loads its models
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
