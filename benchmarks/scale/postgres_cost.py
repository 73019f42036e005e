"""What the database's server takes: CPU, where it runs on this machine, and disk."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ServerCost:
    """Up to now.

    Args:
        cpu_s: of the server and all its processes; None where they are not seen.
        size_mib: of the database.
    """

    cpu_s: float | None
    size_mib: float


def server_cost(engine: Engine) -> ServerCost:
    """Ask the server, and the kernel for its processes."""
    with engine.connect() as connection:
        pid, is_local = connection.execute(
            text("SELECT pg_backend_pid(), inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8'")
        ).one()
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        return ServerCost(_cpu_s(pid) if is_local else None, size / 2**20)


def _cpu_s(backend: int) -> float | None:
    """Of the postmaster, its children, and those that have ended."""
    with suppress(OSError):
        postmaster = int(_stat(backend)[1])
        own = sum(map(int, _stat(postmaster)[11:15]))  # with those of children that have ended
        return (own + sum(_children_ticks(postmaster))) / _TICKS_PER_S
    return None


def _children_ticks(postmaster: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stat = _stat(int(folder.name))
            if int(stat[1]) == postmaster:
                found.append(sum(map(int, stat[11:13])))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name: state, parent, ...; user and system ticks are at 11 to 14."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
