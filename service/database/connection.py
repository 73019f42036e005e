"""Which database a search uses, and that it is there, up to date and answering."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import DatabaseError, SpecificationError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

URL_VARIABLE = "PARETOMERGE_DATABASE_URL"
_DRIVER = "postgresql+psycopg"
# One number for all processes that prepare a database at once; any constant serves.
_PREPARE_LOCK = 0x7061726574


def database_url() -> str:
    """The URL in `PARETOMERGE_DATABASE_URL`, or that of the embedded PostgreSQL, which is started if need be.

    Raises:
        SpecificationError: the variable holds no PostgreSQL URL.
        DatabaseError: the embedded server cannot be started.
    """
    given = os.environ.get(URL_VARIABLE)
    if given:
        return normalized_url(given)
    from service.database.embedded_postgres import EmbeddedPostgres

    return EmbeddedPostgres.default().start()


def normalized_url(url: str) -> str:
    """The URL with psycopg as its driver, whatever it names: `postgres://` and `postgresql://` are taken too.

    Raises:
        SpecificationError: it is not a PostgreSQL URL.
    """
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    must_be = f"`{URL_VARIABLE}` must be a URL such as postgresql://user:password@host:5432/name"
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise SpecificationError(f"{must_be}, but its scheme is '{scheme[:20]}'.")
    try:
        sqlalchemy.make_url(f"{_DRIVER}://{rest}")
    except (ArgumentError, ValueError):
        # What was given may hold a password, so it is not shown.
        raise SpecificationError(f"{must_be}, but it cannot be parsed: is the port a number?") from None
    return f"{_DRIVER}://{rest}"


def plain_url(url: str) -> str:
    """The URL in the form that `psql` takes."""
    return url.replace(f"{_DRIVER}://", "postgresql://", 1)


def shown_url(url: str) -> str:
    """The same with the password hidden, for a terminal or a log."""
    import sqlalchemy

    return plain_url(sqlalchemy.make_url(normalized_url(url)).render_as_string(hide_password=True))


def connect(url: str) -> Engine:
    """An engine over a database that answers, with Optuna's tables and ours up to date.

    Raises:
        DatabaseError: the database cannot be reached or prepared.
    """
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    # TCP keepalives: a driver whose network is cut learns of it, and so does the server that holds its lock.
    keepalives = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
    options = {"connect_timeout": 10, "application_name": "paretomerge", **keepalives}
    # The service answers in 40 threads, each of which may need one.
    engine = sqlalchemy.create_engine(url, connect_args=options, pool_pre_ping=True, max_overflow=40)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PREPARE_LOCK})
            _upgrade(connection, url)
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        reason = str(error).strip().splitlines()[0]
        shown = engine.url.render_as_string(hide_password=True)
        raise DatabaseError(
            f"The database at {shown} must answer, but does not: {reason} "
            f"Start it, or correct {URL_VARIABLE}; without that variable an embedded PostgreSQL is used."
        ) from error
    return engine


def revision_of(engine: Engine) -> str:
    """The revision of our tables in a database that is connected to."""
    from alembic.runtime.migration import MigrationContext

    from service.database.tables import VERSION_TABLE

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return str(context.get_current_revision())


def _upgrade(connection: Connection, url: str) -> None:
    import alembic.command
    import alembic.config
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    RDBStorage(url, engine_kwargs={"poolclass": NullPool})  # creates Optuna's tables, and keeps no connection
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
