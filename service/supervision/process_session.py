"""The processes of a session: a supervisor leads one, and all of Ray that it starts stays in it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NoReturn


def members(session: int) -> list[int]:
    """The processes of a session, on Linux; elsewhere none are found."""
    return [pid for entry in Path("/proc").glob("[0-9]*") if _session_of(pid := int(entry.name)) == session]


def end_members(session: int) -> None:
    """Kill what is left of a session, but for the process that asks.

    Ray's own take up to a minute to see that those are gone to whom they belong.
    """
    for pid in members(session):
        if pid != os.getpid():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def leave() -> NoReturn:
    """End this process, the leader of its session, at once, and with it all others of the session."""
    end_members(os.getpid())
    os._exit(1)


def _session_of(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None
