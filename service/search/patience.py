"""How long a search waits for a database that is gone, and how often it looks whether it is back."""

from __future__ import annotations

import os
import random
import time

from search_spaces.errors import SpecificationError

PATIENCE_VARIABLE = "PARETOMERGE_DATABASE_PATIENCE_S"
# A restart of the server, and a failover of most clusters, fits into it; what workers have loaded is kept meanwhile.
_PATIENCE_S = 300.0
# Pauses grow, so that a server that recovers is not stormed; none is so long that it alone would keep a search waiting.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
# Losses that lie further apart than this are of different outages: a pause, and what a host that is away takes to be
# given up, are much shorter.
_APART_S = 120.0


class Patience:
    """Bounded patience with a database that did answer.

    Args:
        total_s: for one outage.
    """

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self._began = self._last = -_APART_S
        self._pause_s = _FIRST_PAUSE_S

    def pause_s(self) -> float:
        """After a loss: how long to wait before the next look; 0 when patience is at its end."""
        now = time.monotonic()
        if now - self._last >= _APART_S:
            self._began, self._pause_s = now, _FIRST_PAUSE_S
        left_s = self._began + self.total_s - now
        # Random, so that many drivers do not come back at once.
        pause_s = min(self._pause_s * random.uniform(0.5, 1.0), max(left_s, 0.0))
        self._last, self._pause_s = now + pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return pause_s


def patience_s() -> float:
    """Seconds in `PARETOMERGE_DATABASE_PATIENCE_S`, or five minutes.

    Raises:
        SpecificationError: the variable holds no such number.
    """
    given = os.environ.get(PATIENCE_VARIABLE, "")
    try:
        seconds = float(given or _PATIENCE_S)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise SpecificationError(
            f"`{PATIENCE_VARIABLE}` must be a number of seconds, 0 or more, but is '{given}'. Correct or remove it."
        )
    return seconds
