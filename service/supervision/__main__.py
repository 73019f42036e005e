"""`python -m service.supervision`: the supervisor's process, for `SupervisorProcess` only.

Its settings come on standard input, which ends when its parent does, however that dies; then it ends as well.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from service.settings import ServiceSettings
from service.supervision.handed_settings import read_settings
from service.supervision.process_session import end_members, leave
from service.supervision.supervise import LostError, supervise
from workers.worker_pools.ray_connection import LOCAL

# Of a cluster in this machine: its candidates leave the cores to the process that answers clients.
_YIELDS = 5
# For Ray to end in order; the rest is killed.
_GRACE_S = 15.0

_log = logging.getLogger("paretomerge.supervisor")


def main() -> int:
    """Supervise until the parent is gone."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s supervisor: %(message)s")
    settings, parent = _hear_from_parent()
    if settings.ray_address == LOCAL:
        os.nice(_YIELDS)  # Ray's processes inherit it
    ends = threading.Event()
    threading.Thread(target=_watch, args=(parent, ends), name="parent-watch", daemon=True).start()
    try:
        supervise(settings, ends)
    except LostError as error:
        _log.warning("%s", error)
        return 1
    finally:
        end_members(os.getpid())
    return 0


def _hear_from_parent() -> tuple[ServiceSettings, int]:
    """The settings, and the descriptor that tells of the parent's end; Ray's processes do not inherit it."""
    parent = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    with os.fdopen(os.dup(parent), "rb", buffering=0) as stream:
        return read_settings(stream.readline()), parent


def _watch(parent: int, ends: threading.Event) -> None:
    while os.read(parent, 1024):
        pass
    ends.set()
    time.sleep(_GRACE_S)
    leave()


if __name__ == "__main__":
    status = main()
    # Ray is gone, or must not be waited for.
    sys.stderr.flush()
    os._exit(status)
