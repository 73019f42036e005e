"""What Ray runs as an actor: a thin shell around a worker, which says where it is before anything is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import MergeRecipe
from workers.evaluation import Evaluation, Score
from workers.worker_pools._base import Setup, Task


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Where a worker is.

    Args:
        node: Ray's id of it.
        process_id: on that node.
    """

    node: str
    process_id: int


class WorkerShell:
    """Loads its worker when it is told to: so what a node lacks is an error of one call, and not the actor's death."""

    def __init__(self) -> None:
        self._worker: Any = None

    def place(self) -> WorkerPlace:
        """Where it is."""
        import ray

        return WorkerPlace(ray.get_runtime_context().get_node_id(), os.getpid())

    def load(self, setup: Setup) -> None:
        """Load the worker; an answer says that everything is there.

        Raises:
            Exception: whatever the worker's class does.
        """
        self._worker = setup.worker_class(setup)  # type: ignore[arg-type]

    def evaluate(self, task: Task) -> Evaluation:
        """See `CandidateWorker.evaluate` and `TextWorker.evaluate`."""
        evaluation: Evaluation = self._worker.evaluate(task)
        return evaluation

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        """See `CandidateWorker.save`."""
        self._worker.save(recipe, folder, max_shard_size)

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        """See `CandidateWorker.score_saved`."""
        scores: dict[str, Score] = self._worker.score_saved(folder, measures)
        return scores
