"""What is done to a search, one function for each kind of fault; each says whether it struck anything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.commands import Command
from tests.chaos.schedule import Fault, Kind, Pool, Search
from tests.chaos.workbench import Workbench, name_of, workers_among, write_clock

_HOUR_S = 3600.0
# Others look at it when they have nothing left to ask for.
_TAKEOVER_S = 60.0


@dataclass(slots=True)
class Scene:
    """A search under way.

    Args:
        bench: where it runs.
        search: its shape.
        study: its name.
        clock: the file by which its commands' clocks are wrong.
        drivers: the commands that run it, also those that have ended.
    """

    bench: Workbench
    search: Search
    study: str
    clock: Path
    drivers: list[Command] = field(default_factory=list)

    @property
    def living(self) -> list[Command]:
        """The commands that run now."""
        return [driver for driver in self.drivers if driver.exit_code is None]

    def driver(self, fault: Fault) -> Command | None:
        """The one that a fault hits."""
        living = self.living
        return living[int(fault.choice * len(living))] if living else None

    def worker(self, fault: Fault) -> psutil.Process | None:
        """The one that a fault hits."""
        found = [process for driver in self.drivers for process in workers_among(driver.members())]
        if self.search.pool == Pool.SHARED_CLUSTER:
            found += self.bench.cluster_workers()
        return found[int(fault.choice * len(found))] if found else None


def inflict(scene: Scene, fault: Fault) -> bool:
    """Let it happen, and be over if it ends by itself; whether it struck anything."""
    return _FAULTS[fault.kind](scene, fault)


def _killed(scene: Scene, fault: Fault) -> bool:
    driver = scene.driver(fault)
    return driver is not None and driver.send(signal.SIGKILL)


def _interrupted(scene: Scene, fault: Fault) -> bool:
    driver = scene.driver(fault)
    if driver is None:
        return False
    with suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGINT)  # a terminal interrupts the whole group
        return True
    return False


def _terminated(scene: Scene, fault: Fault) -> bool:
    driver = scene.driver(fault)
    return driver is not None and driver.send(signal.SIGTERM)


def _paused(scene: Scene, fault: Fault) -> bool:
    driver = scene.driver(fault)
    if driver is None or not driver.send(signal.SIGSTOP):
        return False
    time.sleep(fault.length_s)
    return driver.send(signal.SIGCONT)


def _outlived(scene: Scene, fault: Fault) -> bool:
    """Paused until another driver has seen its lease expire, and taken over its trial."""
    driver = scene.driver(fault)
    if driver is None or not driver.send(signal.SIGSTOP):
        return False
    database = scene.bench.database
    # What is held for long is the paused driver's: the others finish a candidate in less.
    held = database.leases(scene.study)
    time.sleep(1.5)
    held &= database.leases(scene.study)
    was_held = database.move_leases(scene.study, -_HOUR_S) and bool(held)
    deadline = time.monotonic() + _TAKEOVER_S
    while held & database.leases(scene.study) and time.monotonic() < deadline and len(scene.living) > 1:
        time.sleep(0.1)
    is_taken = was_held and not held & database.leases(scene.study)
    return driver.send(signal.SIGCONT) and is_taken


def _worker_killed(scene: Scene, fault: Fault) -> bool:
    return _signalled(scene.worker(fault), signal.SIGKILL)


def _worker_paused(scene: Scene, fault: Fault) -> bool:
    worker = scene.worker(fault)
    struck = _signalled(worker, signal.SIGSTOP)
    # Up to half as long again as a candidate may take.
    time.sleep(3 * fault.length_s)
    _signalled(worker, signal.SIGCONT)
    return struck


def _worker_hangs(scene: Scene, fault: Fault) -> bool:
    return _signalled(scene.worker(fault), signal.SIGSTOP)


def _signalled(process: psutil.Process | None, number: int) -> bool:
    if process is None:
        return False
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
        return True
    return False


def _member_killed(name: str) -> Callable[[Scene, Fault], bool]:
    def kill(scene: Scene, fault: Fault) -> bool:
        driver = scene.driver(fault)
        found = [process for process in driver.members() if name_of(process) == name] if driver else []
        struck = sum(_signalled(process, signal.SIGKILL) for process in found) > 0
        # Driver and worker do without it, as long as nobody has to start another.
        if fault.choice < 0.5:
            time.sleep(fault.length_s / 3)
            _worker_killed(scene, fault)
        return struck

    return kill


def _postgres_restarted(scene: Scene, fault: Fault) -> bool:
    scene.bench.database.stop()
    time.sleep(fault.length_s * fault.choice)
    scene.bench.database.start()
    return True


def _postgres_crashed(scene: Scene, fault: Fault) -> bool:
    scene.bench.database.crash()
    time.sleep(fault.length_s * fault.choice)
    scene.bench.database.start()
    return True


def _connections_dropped(scene: Scene, fault: Fault) -> bool:
    return scene.bench.database.drop_connections() > 0


def _database_disk_full(scene: Scene, fault: Fault) -> bool:
    disk = scene.bench.disk
    disk.fill()
    time.sleep(fault.length_s)
    disk.free()
    scene.bench.database.start()  # should it have given up
    return disk.is_mounted


def _clock_ahead(scene: Scene, fault: Fault) -> bool:
    """For the server, an hour passes at once: all leases have expired."""
    write_clock(scene.clock, _HOUR_S)
    return _expire(scene) and bool(scene.living)


def _expire(scene: Scene) -> bool:
    """Between two trials there is no lease, but soon."""
    for _ in range(50):
        if scene.bench.database.move_leases(scene.study, -_HOUR_S):
            return True
        time.sleep(0.01)
    return False


def _clock_back(scene: Scene, fault: Fault) -> bool:
    """The leases hold for an hour more, but who holds one is gone."""
    write_clock(scene.clock, -_HOUR_S)
    scene.bench.database.move_leases(scene.study, _HOUR_S)
    return _killed(scene, fault)


_FAULTS: Mapping[Kind, Callable[[Scene, Fault], bool]] = {
    Kind.DRIVER_KILLED: _killed,
    Kind.DRIVER_INTERRUPTED: _interrupted,
    Kind.DRIVER_TERMINATED: _terminated,
    Kind.DRIVER_PAUSED: _paused,
    Kind.LEASE_OUTLIVED: _outlived,
    Kind.WORKER_KILLED: _worker_killed,
    Kind.WORKER_PAUSED: _worker_paused,
    Kind.WORKER_HANGS: _worker_hangs,
    Kind.RAY_HEAD_KILLED: _member_killed("gcs_server"),
    Kind.RAYLET_KILLED: _member_killed("raylet"),
    Kind.POSTGRES_RESTARTED: _postgres_restarted,
    Kind.POSTGRES_CRASHED: _postgres_crashed,
    Kind.CONNECTIONS_DROPPED: _connections_dropped,
    Kind.DATABASE_DISK_FULL: _database_disk_full,
    Kind.CLOCK_AHEAD: _clock_ahead,
    Kind.CLOCK_BACK: _clock_back,
}
