"""A driver's sign of life: a lock that dies with its process, and leases that it renews."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.database.round_trips import RoundTrips

# A lease outlives its driver's last renewal by at most this; a whole outage of the database fits into it.
LEASE_S = 60.0
_RENEW_EVERY_S = LEASE_S / 6
# A lock that is lost with its connection is had again before others look a second time (see `orphans`).
_LOOK_EVERY_S = 0.3

# Never waits: the server may learn late that a connection is gone, and hold the lock for it meanwhile.
_HOLD = text("SELECT pg_try_advisory_lock(:key)")
_RENEW = text(
    "UPDATE paretomerge_leases SET expires_at = now() + make_interval(secs => :lease_s)"
    " WHERE driver = :driver AND expires_at < now() + make_interval(secs => :due_s)"
)


class Driver:
    """One process that runs a search; a context manager that keeps its leases alive.

    It holds an advisory lock of Postgres on a connection of its own. The lock goes with the process,
    also at `kill -9`, so that a successor on any host sees at once that nobody answers for the leases.
    Over another one, `round_trips`, its study is written.

    Args:
        engine: over the study's database.
        predecessors: names of drivers that are known to be gone, though the server may hold their locks for a while: it
            learns late of a network that was cut.
    """

    def __init__(self, engine: Engine, predecessors: Collection[str] = ()) -> None:
        self.name = str(uuid.uuid4())
        self.predecessors = frozenset(predecessors)
        self.round_trips = RoundTrips(engine)
        self._engine = engine
        self._stop = threading.Event()
        self._connection = self._lock()
        self._thread = threading.Thread(target=self._renew, name="lease-renewal", daemon=True)
        self._thread.start()

    def _lock(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(_HOLD, {"key": lock_key(self.name)})
        return connection

    def _renew(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            times = {"lease_s": LEASE_S, "due_s": LEASE_S - _RENEW_EVERY_S}
            try:
                self._connection.execute(_HOLD, {"key": lock_key(self.name)})
                self._connection.execute(_RENEW, {"driver": self.name, **times})
            except SQLAlchemyError:
                # The connection is gone, and the lock with it; the leases hold until a new one is had.
                self._connection.invalidate()
                with suppress(SQLAlchemyError):
                    self._connection = self._lock()

    def close(self) -> None:
        """Release the lock: what this driver left running is for others to take."""
        self._stop.set()
        self._thread.join()
        self.round_trips.close()
        with suppress(SQLAlchemyError):
            # A connection goes back to the pool alive, and would hold the lock there.
            self._connection.invalidate()
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lock_key(driver: str) -> int:
    """The advisory lock of a driver: 63 bits of its name."""
    return uuid.UUID(driver).int >> 65
