"""The whole database as one file, and back: by PostgreSQL's own programs, which the embedded server brings along."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from search_spaces.errors import DatabaseError
from service.database.connection import plain_url, shown_url
from service.database.postgres_binaries import client_programs


def dump_database(url: str, file: Path) -> None:
    """Write a database, as it is at one moment, into a file for `pg_restore`; searches go on meanwhile.

    Args:
        url: of the database, with psycopg as its driver; its server is not newer than the programs.
        file: appears when it is whole; one that is there is replaced.

    Raises:
        DatabaseError: the database does not answer, is newer, or the file cannot be written: what `pg_dump` says.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        _run(url, "pg_dump", "--format=custom", f"--file={partial}")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def restore_database(url: str, file: Path) -> None:
    """Fill an empty database from such a file: whole, or not at all.

    Whatever ran when the file was written waits again as soon as its search is continued: the leases are in the file,
    but not the locks of the drivers.

    Raises:
        DatabaseError: the database does not answer, is not empty, or the file is no dump.
    """
    try:
        with psycopg.connect(plain_url(url)) as connection:
            is_empty = connection.execute("SELECT to_regclass('studies') IS NULL").fetchone() == (True,)
    except psycopg.Error as error:
        raise DatabaseError(f"The database at {shown_url(url)} must answer, but does not: {error}") from error
    if not is_empty:
        raise DatabaseError(
            f"A dump must be restored into an empty database, but {shown_url(url)} holds studies. Name another one in "
            "PARETOMERGE_DATABASE_URL, or for an embedded one another folder in PARETOMERGE_DATA_DIR."
        )
    # Its owner and grants are those of another server.
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    _run(url, "pg_restore", *options, file.resolve())


def _run(url: str, program: str, *arguments: str | Path) -> None:
    address = make_url(url)
    # Everybody can read the arguments of a process.
    password = {"PGPASSWORD": str(address.password)} if address.password else {}
    without = URL.create(
        address.drivername, address.username, None, address.host, address.port, address.database, address.query
    )
    shown = plain_url(without.render_as_string())
    command = (client_programs() / program, f"--dbname={shown}", "--no-password", *arguments)
    done = subprocess.run(command, env=os.environ | password, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise DatabaseError(f"`{program}` must do its work on {shown}, but did not. Mend what it says:\n{said}")
