"""The supervisor as a child process of the service: started, started again when it dies, ended with the service."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

from service.database.connection import URL_VARIABLE
from service.settings import ServiceSettings
from service.supervision.handed_settings import written_settings
from service.supervision.process_session import end_members

# A process that has lived so long did not die of its start.
_LONG_LIFE_S = 20.0
_LONGEST_PAUSE_S = 30.0
# In which it ends in order; a little more than it gives itself.
_END_S = 20.0
# What the supervisor gets by the pipe, or not at all; Ray's processes would inherit them.
_SECRETS = frozenset({URL_VARIABLE, "PARETOMERGE_TOKEN"})

_log = logging.getLogger(__name__)


class SupervisorProcess:
    """A context manager, inside of which a supervisor lives.

    It ends by itself when this process does, even by `kill -9`: a pipe between the two is closed then.

    Args:
        settings: of the service.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._ends = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._keep_alive, name="supervisor-watch", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the process that lives now, and of its session."""
        return self._child.pid if self._child else None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._starting:
            self._ends.set()
            child = self._child
        if child and child.stdin:
            child.stdin.close()
        self._thread.join(_END_S)
        if child and self._thread.is_alive():
            os.kill(child.pid, signal.SIGKILL)  # not `child.kill`, which would reap it under the other thread
            self._thread.join()

    def _keep_alive(self) -> None:
        n_short_lives = 0
        while not self._ends.is_set():
            started = time.monotonic()
            self._live_once()
            n_short_lives = 0 if time.monotonic() - started > _LONG_LIFE_S else n_short_lives + 1
            self._ends.wait(min(_LONGEST_PAUSE_S, 0.25 * 2 ** min(n_short_lives, 10)))

    def _live_once(self) -> None:
        """From the start of a child to its end."""
        try:
            child = self._start()
        except OSError as error:  # the machine may have room for a process again later
            _log.warning("The supervisor's process must start, but does not: %s. It is tried again.", error)
            return
        if child:
            _wait(child)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The next child; None when there shall be none."""
        with self._starting:
            self._child = None
            if self._ends.is_set():
                return None
            self._child = subprocess.Popen(
                [sys.executable, "-m", "service.supervision"],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name not in _SECRETS},
                # Ctrl-C in a terminal is for the parent, who ends it in order.
                start_new_session=True,
            )
        _tell(self._child, written_settings(self._settings))
        return self._child


def _tell(child: subprocess.Popen[bytes], line: bytes) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(line)
    except (OSError, ValueError):  # it died at once, or the pipe was closed to end it
        return


def _wait(child: subprocess.Popen[bytes]) -> None:
    """Wait for its end, and end what it left; before it is reaped, its number cannot be another's."""
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    end_members(child.pid)
    child.wait()
    if child.stdin:
        child.stdin.close()
