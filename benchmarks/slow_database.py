"""A PostgreSQL as if it were far away: a proxy on the loopback that delays, counts round trips, and loses answers."""

from __future__ import annotations

import itertools
import math
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import sqlalchemy

# What a driver says every 0.3 s on a connection of its own, which is no part of an ask or a tell.
_SIGN_OF_LIFE = b"pg_try_advisory_lock"
# The message `Flush`, with which libpq ends a pipeline: nobody answers it, or waits for that.
_FLUSH = b"H\0\0\0\4"
_CHUNK_BYTES = 1 << 16


class SlowDatabase:
    """A proxy in front of a server; a context manager.

    A round trip is what a client sends until the server answers: many statements of one pipeline are one.

    Args:
        url: of the database behind it, with psycopg as its driver.
        delay_s: of each direction.
    """

    def __init__(self, url: str, delay_s: float = 0.0) -> None:
        self._server = sqlalchemy.make_url(url)
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[_Connection] = []
        self._answers_to_lose = itertools.chain[bool]()
        self.is_away = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The database's URL by way of the proxy."""
        return self._server.set(host="127.0.0.1", port=self._listener.getsockname()[1]).render_as_string(False)

    @property
    def n_round_trips(self) -> int:
        """Of all connections so far, but for a driver's signs of life."""
        return sum(connection.n_round_trips for connection in self._connections if not connection.is_sign_of_life)

    @property
    def n_connections(self) -> int:
        """That were ever made."""
        return len(self._connections)

    def cut(self) -> int:
        """End all connections as a network does that fails; how many there were."""
        return sum(connection.cut() for connection in self._connections)

    def go_away(self, for_s: float = math.inf) -> None:
        """Cut all connections, and take no more for a while, or until it comes back."""
        self.is_away = True
        self.cut()
        if for_s < math.inf:
            threading.Timer(for_s, self.come_back).start()

    def come_back(self) -> None:
        """Take connections again."""
        self.is_away = False

    def lose_answer(self, n_before: int = 0) -> None:
        """Cut a connection when the server has done what it was told, and before the client knows.

        Args:
            n_before: of round trips that go well first.
        """
        self._answers_to_lose = itertools.chain([False] * n_before, [True])

    def _is_lost(self) -> bool:
        return next(self._answers_to_lose, False)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_away:
                    client.close()
                    continue
                server = socket.create_connection((self._server.host or "127.0.0.1", self._server.port or 5432))
                self._connections.append(_Connection(client, server, self._delay_s, self._is_lost))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut all connections, and take no more."""
        # Closing alone leaves a thread in `accept`.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


class _Connection:
    """One client's; two threads for each direction, so that what is sent at once arrives at once, only later."""

    def __init__(
        self, client: socket.socket, server: socket.socket, delay_s: float, is_lost: Callable[[], bool]
    ) -> None:
        self._sockets = client, server
        self._delay_s = delay_s
        self._is_lost = is_lost
        self._asks = False
        self.n_round_trips = 0
        self.is_sign_of_life = False
        for one in self._sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in (self._sockets, reversed(self._sockets)):
            due: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            threading.Thread(target=self._take, args=(source, due, source is client), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(sink, due), daemon=True).start()

    def cut(self) -> bool:
        """Whether it was open."""
        was_open = self._sockets[0].fileno() >= 0
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        return was_open

    def _take(self, source: socket.socket, due: queue.SimpleQueue[tuple[float, bytes]], asks: bool) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = source.recv(_CHUNK_BYTES)
            except OSError:
                chunk = b""
            if self._count(chunk, asks) and self._is_lost():
                chunk = b""
            due.put((time.monotonic() + self._delay_s, chunk))

    def _count(self, chunk: bytes, asks: bool) -> bool:
        """Whether it is the beginning of an answer."""
        if not chunk or (asks and chunk == _FLUSH):
            return False
        turns, self._asks = asks != self._asks, asks
        self.n_round_trips += turns and asks
        self.is_sign_of_life |= asks and _SIGN_OF_LIFE in chunk
        return turns and not asks and not self.is_sign_of_life

    def _hand_on(self, sink: socket.socket, due: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                moment, chunk = due.get()
                time.sleep(max(0.0, moment - time.monotonic()))
                if not chunk:
                    break
                sink.sendall(chunk)
        self.cut()
