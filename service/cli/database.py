"""`paretomerge database`: the embedded PostgreSQL, which outlives the commands that start it."""

from __future__ import annotations

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
def upgrade() -> None:
    """Prepare the database, or bring its tables up to date; every command that uses them does so as well."""
    from service.database.connection import connect, database_url, revision_of

    url = database_url()
    engine = connect(url)
    shown = engine.url.render_as_string(hide_password=True).partition("@")[2]
    results.print(f"The tables of {shown} are at revision {revision_of(engine)}.", soft_wrap=True)
    engine.dispose()
