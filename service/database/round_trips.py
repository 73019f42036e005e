"""A connection on which several statements cost one round trip, and which is had again when it is lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

# A statement in psycopg's notation, and what it is given by name.
Statement = tuple[str, Mapping[str, Any]]

# Beside the error that it raises, it warns of a pipeline whose connection is lost.
logging.getLogger("psycopg").setLevel(logging.ERROR)

# A connection that is cut, or a server that is restarted, is back within seconds. Longer outages are not waited for
# here but by whoever holds the workers: see `service.search.durable_session`.
_RETRY_FOR_S = 5.0
_FIRST_PAUSE_S = 0.1
# Of an error that ended the connection (08, 57P: the server stops or starts), or for which the server undid a
# transaction that may go well the next time (40, as of a deadlock).
_PASSING = ("08", "57P", "40")


class Answer(NamedTuple):
    """What came back.

    Args:
        rows: of each statement.
        is_repeated: whether it was sent more than once, so that the database may have heard it before.
    """

    rows: list[list[tuple[Any, ...]]]
    is_repeated: bool


@dataclass(slots=True)
class _Pauses:
    """Growing, so that a server that starts is not stormed, and random, so that many clients do not come at once."""

    until: float
    next_s: float = _FIRST_PAUSE_S

    def __iter__(self) -> Iterator[float]:
        while time.monotonic() < self.until:
            yield self.next_s * random.uniform(0.5, 1.0)
            self.next_s *= 2


class RoundTrips:
    """One connection to a database; what is sent together is one round trip and one transaction.

    Where the connection is lost, nobody knows whether the transaction was committed. Everything is then sent again over
    another connection, for some seconds, with `repeated` among what is given to each statement. So only such
    statements may be sent here as do no harm the second time, or that look at `repeated` themselves.

    Args:
        engine: says how to connect.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def send(self, *statements: Statement) -> Answer:
        """Execute statements one after the other, each of which sees what those before it did.

        Raises:
            DBAPIError: the database refuses one of them, and none counts; or it does not answer.
        """
        pauses, is_repeated = iter(_Pauses(time.monotonic() + _RETRY_FOR_S)), False
        with self._lock:
            while True:
                try:
                    return Answer(self._try(statements, is_repeated), is_repeated)
                except psycopg.Error as error:
                    pause_s = next(pauses, None) if self._may_pass(error) else None
                    is_repeated |= self._connection is not None
                    if not self._is_usable():
                        self.close()
                    if pause_s is None:
                        raise self._as_sqlalchemy(error) from error
                    time.sleep(pause_s)

    def _may_pass(self, error: psycopg.Error) -> bool:
        return not self._is_usable() or (error.sqlstate or "").startswith(_PASSING)

    def _is_usable(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def close(self) -> None:
        """End the connection; another one is made when it is needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _try(self, statements: tuple[Statement, ...], is_repeated: bool) -> list[list[tuple[Any, ...]]]:
        if self._connection is None:
            self._connection = self._connect()
        given = [(statement, {**parameters, "repeated": is_repeated}) for statement, parameters in statements]
        try:
            # Without BEGIN and COMMIT: what stands between two syncs is one transaction.
            with self._connection.pipeline():
                cursors = [self._connection.execute(*statement) for statement in given]
            return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
        except psycopg.Error:
            raise
        except BaseException:
            self.close()  # interrupted, with an answer under way that must not be taken for that of the next statement
            raise

    def _connect(self) -> psycopg.Connection[Any]:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        assert isinstance(connection, psycopg.Connection)  # the URL's driver; see `service.database.connection`
        pooled.detach()  # from the pool, which would look whether it lives, in a round trip of its own
        connection.autocommit = True
        return connection

    def _as_sqlalchemy(self, error: psycopg.Error) -> BaseException:
        """As everybody who uses the engine expects it, and without what the statements were given."""
        return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, dialect=self._engine.dialect)
