"""`paretomerge database`: the embedded PostgreSQL, which outlives the commands that start it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.consoles import messages, results
from service.cli.server import CommandHere

database = typer.Typer(help="The database of the studies.", no_args_is_help=True)


@database.command(cls=CommandHere)
def url() -> None:
    """Print the database's URL, starting the embedded server if need be: psql "$(paretomerge database url)"."""
    from service.database.connection import database_url, plain_url

    results.print(plain_url(database_url()), soft_wrap=True)


@database.command(cls=CommandHere)
def stop() -> None:
    """Stop the embedded server; its data stay."""
    from service.database.embedded_postgres import EmbeddedPostgres

    server = EmbeddedPostgres.default()
    running = server.is_running()
    server.stop()
    messages.print(f"The server of {server.folder} {'is stopped' if running else 'was not running'}.")


@database.command(cls=CommandHere)
def dump(file: Annotated[Path, typer.Argument(help="The file, for `pg_restore`; replaced if it is there.")]) -> None:
    """Write all studies into a file, as they are at one moment; searches go on meanwhile."""
    from service.database.connection import database_url, shown_url
    from service.database.dump import dump_database

    url = database_url()
    dump_database(url, file)
    messages.print(f"{shown_url(url)} is in {file}: {file.stat().st_size / 1e6:.1f} MB.", soft_wrap=True)


@database.command(cls=CommandHere)
def restore(
    file: Annotated[Path, typer.Argument(help="What `dump` or `pg_dump --format=custom` has written.", exists=True)],
) -> None:
    """Fill an empty database from a dump; the same commands then continue its searches."""
    from service.database.connection import connect, database_url, shown_url
    from service.database.dump import restore_database

    url = database_url()
    restore_database(url, file)
    connect(url).dispose()  # brings the tables of an older version up to date
    messages.print(f"{file} is in {shown_url(url)}.", soft_wrap=True)


@database.command(cls=CommandHere)
def upgrade() -> None:
    """Prepare the database, or bring its tables up to date; every command that uses them does so as well."""
    from service.database.connection import connect, database_url, revision_of

    url = database_url()
    engine = connect(url)
    shown = engine.url.render_as_string(hide_password=True).partition("@")[2]
    results.print(f"The tables of {shown} are at revision {revision_of(engine)}.", soft_wrap=True)
    engine.dispose()
