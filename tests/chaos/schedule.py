"""From a seed: a search, and what befalls it at which moments."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong."""

    DRIVER_KILLED = "driver killed"
    DRIVER_INTERRUPTED = "driver interrupted (SIGINT)"
    DRIVER_TERMINATED = "driver terminated (SIGTERM)"
    DRIVER_PAUSED = "driver paused"
    LEASE_OUTLIVED = "driver paused beyond its lease"
    WORKER_KILLED = "worker killed"
    WORKER_PAUSED = "worker paused"
    WORKER_HANGS = "worker hangs"
    RAY_HEAD_KILLED = "Ray head killed"
    RAYLET_KILLED = "raylet killed"
    POSTGRES_RESTARTED = "Postgres restarted"
    POSTGRES_CRASHED = "Postgres crashed"
    CONNECTIONS_DROPPED = "connections dropped"
    DATABASE_DISK_FULL = "disk of Postgres full"
    CACHE_DISK_FULL = "disk of rankings full"
    NON_FINITE_SCORES = "scores not finite"
    CLOCK_AHEAD = "clocks jump ahead"
    CLOCK_BACK = "clocks jump back, driver killed"
    EXPORT_KILLED = "export killed"
    EXPORT_DISK_FULL = "disk of an export full"


class Pool(StrEnum):
    """Where candidates are made."""

    IN_PROCESS = "in process"
    OWN_CLUSTER = "a Ray of its own"
    SHARED_CLUSTER = "a Ray that others have"


ON_WORKERS = frozenset({Kind.WORKER_KILLED, Kind.WORKER_PAUSED, Kind.WORKER_HANGS})
ON_RAY = frozenset({Kind.RAY_HEAD_KILLED, Kind.RAYLET_KILLED})
ON_EXPORTS = frozenset({Kind.EXPORT_KILLED, Kind.EXPORT_DISK_FULL})
ON_DATABASE = frozenset(
    {Kind.POSTGRES_RESTARTED, Kind.POSTGRES_CRASHED, Kind.CONNECTIONS_DROPPED, Kind.DATABASE_DISK_FULL}
)
NEED_A_DISK = frozenset({Kind.DATABASE_DISK_FULL, Kind.CACHE_DISK_FULL})
# They are in the search from its start; the others happen to it at a moment.
BUILT_IN = frozenset({Kind.CACHE_DISK_FULL, Kind.NON_FINITE_SCORES})
# What may befall any search beside the kind that its seed stands for.
_FURTHER = (
    Kind.DRIVER_KILLED,
    Kind.DRIVER_INTERRUPTED,
    Kind.DRIVER_TERMINATED,
    Kind.DRIVER_PAUSED,
    Kind.POSTGRES_RESTARTED,
    Kind.POSTGRES_CRASHED,
    Kind.CONNECTIONS_DROPPED,
    Kind.DATABASE_DISK_FULL,
    Kind.CLOCK_AHEAD,
    Kind.CLOCK_BACK,
)
_SAMPLERS = ("nsga2", "tpe", "gradient", "random")
# A candidate of the bundled family takes a tenth of a second: slow machines are not to be taken for hung workers.
_TIMEOUT_S = 6.0


@dataclass(frozen=True, slots=True)
class Search:
    """A search's shape.

    Args:
        sampler: its name.
        n_evaluations: its budget.
        pool: where candidates are made.
        n_workers: of each driver.
        n_drivers: how many commands run it at once.
        racing: whether candidates race.
        timeout_s: of a candidate; None waits for ever.
        overflows: whether some candidates have no finite score.
        keeps_rankings: whether workers keep the rankings of its method in files.
    """

    sampler: str
    n_evaluations: int
    pool: Pool
    n_workers: int = 1
    n_drivers: int = 1
    racing: bool = False
    timeout_s: float | None = None
    overflows: bool = False
    keeps_rankings: bool = False

    def __str__(self) -> str:
        parts = [self.sampler, f"{self.n_evaluations} evaluations", str(self.pool)]
        parts += [f"{self.n_drivers} drivers"] if self.n_drivers > 1 else []
        parts += [f"{self.n_workers} workers"] if self.n_workers > 1 else []
        parts += [f"{self.timeout_s:g} s each"] if self.timeout_s else []
        marks = {"racing": self.racing, "float16 overflows": self.overflows, "rankings in files": self.keeps_rankings}
        return ", ".join([*parts, *(mark for mark, is_set in marks.items() if is_set)])


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and when.

    Args:
        kind: what it is.
        n_finished: so many trials are finished then; None counts from the start of the command.
        delay_s: so long after that.
        length_s: of a pause or an outage.
        choice: from 0 to 1, decides whom it hits.
    """

    kind: Kind
    n_finished: int | None
    delay_s: float
    length_s: float
    choice: float

    def __str__(self) -> str:
        if self.kind in BUILT_IN:
            return str(self.kind)
        after = "the start" if self.n_finished is None else f"{self.n_finished} trials"
        return f"{self.kind} {self.delay_s:.2f} s after {after} ({self.length_s:.1f} s, choice {self.choice:.2f})"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A search and its faults, in the order in which they come.

    Args:
        seed: from which all of it follows.
        search: what is searched.
        faults: what befalls it.
    """

    seed: int
    search: Search
    faults: tuple[Fault, ...]

    @property
    def kinds(self) -> frozenset[Kind]:
        """Of its faults."""
        return frozenset(fault.kind for fault in self.faults)

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.search}; " + "; ".join(map(str, self.faults))


def schedule_of(seed: int) -> Schedule:
    """The schedule of a seed. As many seeds in succession as there are kinds have each kind once."""
    kinds, draw = list(Kind), random.Random(seed)
    kind = kinds[seed % len(kinds)]
    search = _search(kind, draw)
    further = draw.sample(_FURTHER, draw.choice((0, 0, 1, 1, 2)))
    faults = [_fault(kind, search, draw) for kind in dict.fromkeys((kind, *further))]
    return Schedule(seed, search, tuple(sorted(faults, key=_order)))


def _search(kind: Kind, draw: random.Random) -> Search:
    pool = _pool(kind, draw)
    sampler = draw.choice(_SAMPLERS)
    n_drivers = 2 if kind == Kind.LEASE_OUTLIVED or (pool != Pool.OWN_CLUSTER and draw.random() < 0.3) else 1
    on_ray, keeps_rankings = pool != Pool.IN_PROCESS, kind == Kind.CACHE_DISK_FULL
    may_hang = kind == Kind.WORKER_HANGS or (kind == Kind.WORKER_PAUSED and draw.random() < 0.5)
    return Search(
        # Nothing has gradients where a method counts ranks, nor where 16 bits overflow.
        sampler="tpe" if sampler == "gradient" and kind in BUILT_IN else sampler,
        n_evaluations=draw.randint(12, 30),
        pool=pool,
        n_workers=draw.choice((1, 1, 2)) if on_ray and n_drivers == 1 else 1,
        n_drivers=n_drivers,
        racing=draw.random() < 0.3,
        timeout_s=_TIMEOUT_S if may_hang else None,
        overflows=kind == Kind.NON_FINITE_SCORES,
        keeps_rankings=keeps_rankings,
    )


def _pool(kind: Kind, draw: random.Random) -> Pool:
    if kind in ON_RAY:
        return Pool.OWN_CLUSTER
    if kind == Kind.CACHE_DISK_FULL:
        return draw.choices((Pool.IN_PROCESS, Pool.OWN_CLUSTER), (4, 1))[0]  # others' workers have a disk of their own
    # A Ray of its own takes longer to start than all the rest together.
    weights = (0, 1, 5) if kind in ON_WORKERS else (14, 1, 5)
    return draw.choices(tuple(Pool), weights)[0]


def _fault(kind: Kind, search: Search, draw: random.Random) -> Fault:
    # Trials with gradients cost three each, but for the first ones.
    n_trials = 8 + (search.n_evaluations - 8) // 3 if search.sampler == "gradient" else search.n_evaluations
    n_finished = draw.randint(0, n_trials - 2)
    # Of those that hit a command, some come while it starts.
    is_early = kind in ON_EXPORTS or (kind in _FURTHER and draw.random() < 0.2)
    start_s = 1.5 if search.pool == Pool.IN_PROCESS else 6.0
    return Fault(
        kind=kind,
        n_finished=None if is_early else n_finished,
        delay_s=draw.uniform(0.0, start_s if is_early else 0.15),
        length_s=draw.uniform(0.3, 3.0),
        choice=draw.random(),
    )


def _order(fault: Fault) -> tuple[bool, int, float]:
    return fault.kind in ON_EXPORTS, -1 if fault.n_finished is None else fault.n_finished, fault.delay_s
