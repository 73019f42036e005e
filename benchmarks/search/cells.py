"""The cells of the benchmark: which searches there are, where their results lie, and how they are filled."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.search.families import Family, prepared, worker
from benchmarks.search.sampler_run import SamplerRun
from benchmarks.search.trial_records import TrialRecord, append_record, read_records, rewrite_records
from service.samplers import SAMPLERS
from service.studies.trial_cost import is_spent


@dataclass(frozen=True, slots=True)
class Cell:
    """One search.

    Args:
        family: that is searched.
        granularity: of its space.
        sampler: a name in `SAMPLERS`.
        seed: of the sampler.
        budget: in evaluation-equivalents.
    """

    family: Family
    granularity: str
    sampler: str
    seed: int
    budget: float

    def path(self, results: Path) -> Path:
        """Where its trials are kept."""
        return results / self.family.name / self.granularity / self.sampler / f"seed-{self.seed}.jsonl"

    def records(self, results: Path) -> list[TrialRecord]:
        """Its trials so far."""
        return read_records(self.path(results))

    def is_whole(self, results: Path) -> bool:
        """Whether its budget is spent."""
        records = self.records(results)
        return bool(records) and is_spent(records[-1].spent, self.budget)

    def __str__(self) -> str:
        return f"{self.family.name} {self.granularity} {self.sampler} {self.seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched of a family.

    Args:
        family: the models and sets.
        granularities: of its spaces.
        n_seeds: so many, from 0.
        budget: of each search, in evaluation-equivalents.
    """

    family: Family
    granularities: Sequence[str]
    n_seeds: int
    budget: float

    def cells(self, samplers: Sequence[str]) -> list[Cell]:
        """All combinations; a sampler in which no chance has a part is run once."""
        return [
            Cell(self.family, granularity, sampler, seed, self.budget)
            for granularity, seed, sampler in product(self.granularities, range(self.n_seeds), samplers)
            if SAMPLERS[sampler].is_random or seed == 0
        ]


def fill(cells: Sequence[Cell], results: Path, n_processes: int) -> Iterator[Cell]:
    """Run what is missing; cells that are whole come first."""
    left = [cell for cell in cells if not cell.is_whole(results)]
    yield from (cell for cell in cells if cell not in left)
    yield from in_processes(run_cell, left, results, n_processes)


def in_processes(
    work: Callable[[Cell, Path], Cell], cells: Sequence[Cell], results: Path, n_processes: int
) -> Iterator[Cell]:
    """Each process works on one cell at a time."""
    # A fresh interpreter each: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context) as processes:
        for done in as_completed([processes.submit(work, cell, results) for cell in cells]):
            yield done.result()


def run_cell(cell: Cell, results: Path) -> Cell:
    """Go on with a cell until its budget is spent."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search, path, done = prepared(cell.family, cell.granularity), cell.path(results), cell.records(results)
    rewrite_records(path, done)
    run = SamplerRun(search, cell.sampler, cell.seed, cell.budget, worker(cell.family).evaluate, done)
    for record in run.records():
        append_record(path, record)
    return cell
