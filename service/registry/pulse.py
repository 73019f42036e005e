"""The supervisor's pulse, and the lock that makes it the only one of its database."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from service.registry.models import SupervisorRow

# One number for the supervisors of a database; any constant serves.
_HOLD = text("SELECT pg_try_advisory_lock(7308895155231940979)")
# At once: the server may take its time to see that a connection is closed.
_RELEASE = text("SELECT pg_advisory_unlock_all()")


class Pulse:
    """What the supervisor says of itself and of its cluster.

    Args:
        engine: see `service.database.connection.connect`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def namespace(self) -> str:
        """Of this database's drivers in Ray."""
        with self._engine.connect() as connection:
            return str(connection.execute(select(SupervisorRow.namespace)).scalar_one())

    def beat(self, cluster: dict[str, Any], message: str = "") -> None:
        """Say that the supervisor goes round.

        Args:
            cluster: see `SupervisorRow`.
            message: what is wrong with it.
        """
        with self._engine.begin() as connection:
            connection.execute(update(SupervisorRow).values(beat_at=func.now(), cluster=cluster, message=message))


class SupervisorLock:
    """An advisory lock of Postgres on a connection of its own: it goes with the process, also at `kill -9`.

    Args:
        engine: over the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def hold(self) -> bool:
        """Take the lock, or see that it is still ours; False while another supervisor has it.

        Raises:
            SQLAlchemyError: the database does not answer, and the lock may be lost.
        """
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            return bool(self._connection.execute(_HOLD).scalar_one())
        except SQLAlchemyError:
            self.release()
            raise

    def release(self) -> None:
        """Leave it to another."""
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.execute(_RELEASE)
            with suppress(SQLAlchemyError):
                # A connection goes back to the pool alive, and would hold the lock there.
                self._connection.invalidate()
                self._connection.close()
            self._connection = None
