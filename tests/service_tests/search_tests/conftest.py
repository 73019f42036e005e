"""Searches over the bundled family, with workers that only look at the coefficients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import PoolError
from service.search import PreparedSearch, prepare_search
from service.specification import load_specification
from workers.evaluation import Assignment, Evaluation, FailureReason, Score
from workers.worker_pools import WorkerPool
from workers.worker_pools._base import Task


class CoefficientPool(WorkerPool):
    """Scores a recipe by its weights, at once; the last submission is finished first.

    Args:
        n_workers: how many tickets it holds.
        fails_at: tickets whose candidates fail.
        breaks_at: the ticket at which the pool itself breaks.
    """

    def __init__(self, n_workers: int = 1, fails_at: tuple[int, ...] = (), breaks_at: int | None = None) -> None:
        self._n_workers = n_workers
        self._fails_at = fails_at
        self._breaks_at = breaks_at
        self._under_way: list[tuple[int, Assignment]] = []
        self.submitted: list[int] = []
        self.assignments: list[Assignment] = []
        self.closed = False

    @property
    def n_workers(self) -> int:
        return self._n_workers

    @property
    def n_alive(self) -> int:
        return self._n_workers

    @property
    def n_under_way(self) -> int:
        return len(self._under_way)

    def resize(self, n_workers: int) -> None:
        self._n_workers = n_workers

    def submit(self, ticket: int, task: Task) -> None:
        assert self.has_free_worker
        assert isinstance(task, Assignment)
        self.submitted.append(ticket)
        self.assignments.append(task)
        self._under_way.append((ticket, task))

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        if not self._under_way:
            return None
        ticket, assignment = self._under_way.pop()
        if ticket == self._breaks_at:
            raise PoolError("All workers are gone.")
        if ticket in self._fails_at:
            return ticket, Evaluation(failure=FailureReason.OUT_OF_MEMORY, message="too large")
        return ticket, Evaluation(scores_of(assignment), make_s=0.1, score_s=0.2)

    def save(self, recipe: MergeRecipe, folder: Path, max_shard_size: str) -> None:
        raise NotImplementedError

    def score_saved(self, folder: Path, measures: tuple[str, ...]) -> dict[str, Score]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def scores_of(assignment: Assignment) -> dict[str, Score]:
    """Each objective wants another weight of both experts."""
    recipe = assignment.recipe
    weights = [values["weight"] for model in recipe.weighed_models for values in recipe.coefficients[model].values()]
    wanted = dict(zip(assignment.measures, (0.3, 0.9, 0.6), strict=False))
    return {name: Score(-fmean((w - best) ** 2 for w in weights), 0.1, 4, ()) for name, best in wanted.items()}


@pytest.fixture
def make_pool() -> type[CoefficientPool]:
    return CoefficientPool


@pytest.fixture
def prepare(tmp_path: Path, study_name: str, write_specification: Callable[..., Path]) -> Callable[..., PreparedSearch]:
    """Prepare a search of the test's own name; keywords as in `write_specification`."""

    def make(**changes: Any) -> PreparedSearch:
        return prepare_search(load_specification(write_specification(tmp_path, name=study_name, **changes)))

    return make


@pytest.fixture
def write_set(tmp_path: Path) -> Callable[..., str]:
    """Write a set; returns its path."""

    def write(*rows: dict[str, str]) -> str:
        path = tmp_path / "set.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write
