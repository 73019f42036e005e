"""What came of a schedule, and the wait for its last processes."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.chaos.commands import Command
from tests.chaos.schedule import Kind, Schedule
from tests.chaos.workbench import name_of

# Ray's own processes take up to a minute to see that those are gone to whom they belong.
_GRACE_S = 120.0


@dataclass(slots=True)
class Outcome:
    """What came of a schedule.

    Args:
        schedule: that was carried out.
        struck: kind → whether it struck anything.
        violations: what did not hold.
        n_starts: how many commands searched.
        seconds: that it took.
    """

    schedule: Schedule
    struck: dict[Kind, bool] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    n_starts: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Watch:
    """The processes of a schedule that is over, which have some time to go.

    Args:
        outcome: of it.
        commands: whose sessions are watched.
        workers: on the Ray that outlives it.
        until: when they must be gone, on the monotonic clock.
    """

    outcome: Outcome
    commands: list[Command]
    workers: list[psutil.Process]
    until: float = field(default_factory=lambda: time.monotonic() + _GRACE_S)

    def left_over(self) -> list[str]:
        """The names of those that are there still."""
        members = [process for command in self.commands for process in command.members()]
        return [name_of(process) or "?" for process in (*members, *filter(_lives, self.workers))]

    def is_over(self) -> bool:
        """Whether all are gone, or should be; then the outcome says which are not."""
        left = self.left_over()
        if left and time.monotonic() < self.until:
            return False
        if left:
            self.outcome.violations.append(f"no process is left: {', '.join(left)}")
            for command in self.commands:
                command.kill()
        return True


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
