"""What befalls a search follows from its seed alone, and every kind has its turn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.schedule import BUILT_IN, ON_EXPORTS, ON_RAY, ON_WORKERS, Kind, Pool, Schedule, schedule_of

SCHEDULES = [schedule_of(seed) for seed in range(200)]
PRINT = "from tests.chaos.schedule import schedule_of; print(*map(schedule_of, range(40)), sep='\\n')"


def test_same_seed_same_schedule_in_another_process() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PRINT], cwd=root, env=environment, capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [str(schedule) for schedule in SCHEDULES[:40]]


def test_seeds_differ() -> None:
    assert len({(schedule.search, schedule.faults) for schedule in SCHEDULES}) == len(SCHEDULES)


def test_every_kind_has_its_turn() -> None:
    for start in (0, 7):
        turn = SCHEDULES[start : start + len(Kind)]
        assert frozenset[Kind]().union(*(schedule.kinds for schedule in turn)) == set(Kind)


def test_faults_can_strike() -> None:
    for schedule in SCHEDULES:
        search = schedule.search
        assert search.pool != Pool.IN_PROCESS or not schedule.kinds & (ON_WORKERS | ON_RAY)
        assert search.pool == Pool.OWN_CLUSTER or not schedule.kinds & ON_RAY
        assert search.n_drivers == 2 or Kind.LEASE_OUTLIVED not in schedule.kinds
        assert search.timeout_s or Kind.WORKER_HANGS not in schedule.kinds
        assert all((fault.n_finished or 0) < search.n_evaluations - 1 for fault in schedule.faults)


def test_faults_come_in_order() -> None:
    for schedule in SCHEDULES:
        moments = [fault.n_finished for fault in schedule.faults if fault.kind not in ON_EXPORTS | BUILT_IN]
        known = [moment for moment in moments if moment is not None]
        assert known == sorted(known)
        assert not any(moment is None for moment in moments[len(moments) - len(known) :])
        assert _exports_are_last(schedule)


def _exports_are_last(schedule: Schedule) -> bool:
    of_exports = [fault.kind in ON_EXPORTS for fault in schedule.faults]
    return of_exports == sorted(of_exports)
