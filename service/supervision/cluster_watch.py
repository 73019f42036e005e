"""Ends a process that waits in a call to a cluster that is gone; Ray would let it wait for a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PERIOD_S = 1.0
# In which whoever goes round finds out by itself, and ends in order.
_GRACE_S = 5.0


@contextmanager
def cluster_watched(
    answers: Callable[[], bool],
    give_up: Callable[[], object],
    *,
    period_s: float = _PERIOD_S,
    grace_s: float = _GRACE_S,
) -> Iterator[None]:
    """Around all calls to a cluster.

    Args:
        answers: whether the cluster is there; asked in a thread of its own.
        give_up: called in that thread, once, when the cluster is gone and the context is not left within the grace.
        period_s: seconds between two questions.
        grace_s: in seconds.
    """
    is_left = threading.Event()

    def watch() -> None:
        while not is_left.wait(period_s):
            if not answers():
                if not is_left.wait(grace_s):
                    give_up()
                return

    threading.Thread(target=watch, name="cluster-watch", daemon=True).start()
    try:
        yield
    finally:
        is_left.set()
