"""Ends a process that waits in a call to a cluster that is gone; Ray would let it wait for a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_PERIOD_S = 1.0
# In which whoever goes round finds out by itself, and ends in order.
_GRACE_S = 5.0


class ClusterWatch:
    """A context manager around all calls to a cluster.

    Args:
        answers: whether the cluster is there; asked in a thread of its own.
        give_up: called in that thread, once, when the cluster is gone and the context is not left within the grace.
        period_s: seconds between two questions.
        grace_s: in seconds.
    """

    def __init__(
        self,
        answers: Callable[[], bool],
        give_up: Callable[[], object],
        *,
        period_s: float = _PERIOD_S,
        grace_s: float = _GRACE_S,
    ) -> None:
        self._answers = answers
        self._give_up = give_up
        self._period_s = period_s
        self._grace_s = grace_s
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cluster-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_left.set()

    def _watch(self) -> None:
        while not self._is_left.wait(self._period_s):
            if not self._answers():
                if not self._is_left.wait(self._grace_s):
                    self._give_up()
                return
