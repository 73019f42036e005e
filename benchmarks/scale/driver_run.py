"""One driver of the search: the real loop over the real study, with simulated workers; and what it took."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scale.durations import Durations
from benchmarks.scale.growth import by_parts
from benchmarks.scale.simulated_pool import Shift, SimulatedPool
from benchmarks.scale.stage_clock import StageClock, TimedSampler, TimedStudy
from service.database.connection import connect, database_url
from service.search import PreparedSearch, SearchLoop, prepare_search
from service.specification import parse_specification
from service.studies import Driver, SearchStudy

_SPECIFICATION = """
name: {name}
models:
  base: base
  experts: {{aligned: aligned, expert: expert}}
space:
  granularity: layer
  weight: [0.0, 1.5]
  bounds: [{{filter: "[!l]*", weight: 0.5}}]   # embeddings and final norm: all but the layers
objectives:
  alignment: {{set: safety.jsonl, scorer: refusal_margin}}
  expertise: {{set: domain.jsonl, scorer: answer_likelihood}}
search: {{sampler: {sampler}, evaluations: {trials}, seed: 0}}
workers: {{count: {workers}}}
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """What is run.

    Args:
        name: of the study.
        folder: of the family.
        trials: evaluations in all.
        workers: of all drivers together.
        drivers: processes that share the study, and the workers between them.
        seconds: of an evaluation; see `Durations`.
        sampler: as in a specification.
        examples: per objective, whose scores are stored.
    """

    name: str
    folder: Path
    trials: int
    workers: int
    drivers: int
    seconds: str
    sampler: str
    examples: int


@dataclass(frozen=True, slots=True)
class DriverRun:
    """What one driver did.

    Args:
        n_dims: of the space.
        sampler: that ran.
        shifts: of its workers.
        clock: of its stages.
        started_s: when its loop began, on the clock of `time.perf_counter`.
        started_cpu_s: of the process, then.
        wall_s: of the loop.
        cpu_s: of the process, in the loop.
        waited_s: of it, for evaluations.
        rss_mib: the most memory that the process had.
    """

    n_dims: int
    sampler: str
    shifts: list[Shift]
    clock: StageClock
    started_s: float
    started_cpu_s: float
    wall_s: float
    cpu_s: float
    waited_s: float
    rss_mib: float

    @property
    def costs_ms(self) -> list[float]:
        """CPU of a trial, an ask and a tell, by tenths of the run: at first there are more asks, at last more tells."""
        return [2e3 * cost for cost in by_parts([self.started_cpu_s, *self.clock.marks_s])]

    @property
    def busy_ms(self) -> float:
        """Wall time per trial in which the driver was not waiting for evaluations."""
        return (self.wall_s - self.waited_s) / max(1, len(self.clock.told_cpu_s)) * 1e3


def prepare(scale: Scale) -> PreparedSearch:
    """The search: 32 layers of two experts."""
    text = _SPECIFICATION.format(name=scale.name, sampler=scale.sampler, trials=scale.trials, workers=scale.workers)
    return prepare_search(parse_specification(text, scale.folder))


def reopening_s(scale: Scale) -> tuple[float, float]:
    """CPU and wall seconds in which a driver learns all trials of the study, as one that goes on with it does."""
    prepared, engine = prepare(scale), connect(database_url())
    with Driver(engine) as driver:
        started = time.process_time(), time.perf_counter()
        SearchStudy(engine, driver, prepared.identity, prepared.plan())
        found = time.process_time() - started[0], time.perf_counter() - started[1]
    engine.dispose()
    return found


def run_driver(scale: Scale, index: int = 0) -> DriverRun:
    """Run one of the drivers to the end of the search."""
    prepared, clock = prepare(scale), StageClock()
    pool = SimulatedPool(scale.workers // scale.drivers, Durations(scale.seconds, seed=index), scale.examples)
    plan = prepared.plan()
    plan = replace(plan, sampler=TimedSampler(plan.sampler, clock))
    engine = connect(database_url())
    with Driver(engine) as driver:
        study = TimedStudy(engine, driver, prepared.identity, plan)
        study.clock = clock
        loop = SearchLoop(prepared, study, pool, clock.progressed)
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        loop.run()
        wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    engine.dispose()
    return DriverRun(
        n_dims=prepared.space.n_dims,
        sampler=prepared.choose_sampler()[0],
        shifts=pool.shifts,
        clock=clock,
        started_s=started_s,
        started_cpu_s=started_cpu_s,
        wall_s=wall_s,
        cpu_s=cpu_s,
        waited_s=pool.waited_s,
        rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
