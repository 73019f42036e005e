"""Which database is used, and what is made in it."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import text

from search_spaces.errors import DatabaseError, SpecificationError
from service.database.connection import URL_VARIABLE, connect, normalized_url, plain_url
from service.database.connection import database_url as url_in_use
from service.database.tables import metadata

REPOSITORY = Path(__file__).parents[3]
CONNECT = "import sys; from service.database.connection import connect; connect(sys.argv[1]).dispose()"


@pytest.fixture
def fresh_url(database_url: str) -> Iterator[str]:
    """The URL of a database without a table."""
    name = f"fresh_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield engine.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def tables(url: str) -> set[str]:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    return set(sqlalchemy.inspect(engine).get_table_names())


def test_makes_optunas_tables_and_ours(fresh_url: str) -> None:
    connect(fresh_url).dispose()
    expected = {"studies", "trials", "alembic_version", "paretomerge_alembic_version", *metadata.tables}
    assert tables(fresh_url) >= expected


def test_connecting_again_changes_nothing(fresh_url: str) -> None:
    connect(fresh_url).dispose()
    engine = connect(fresh_url)
    with engine.connect() as connection:
        versions = connection.execute(text("SELECT version_num FROM paretomerge_alembic_version")).all()
    engine.dispose()
    assert len(versions) == 1


def test_migrations_lead_to_the_tables_that_the_code_uses(fresh_url: str) -> None:
    engine = connect(fresh_url)
    for name, table in metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in sqlalchemy.inspect(engine).get_columns(name)}
        assert columns == {column.name: column.nullable for column in table.columns}
    engine.dispose()


def test_two_processes_prepare_one_database(fresh_url: str) -> None:
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", CONNECT, fresh_url]
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in processes]
    assert errors == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    assert metadata.tables.keys() <= tables(fresh_url)


def test_a_lease_goes_with_its_trial(fresh_url: str) -> None:
    engine = connect(fresh_url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO studies (study_id, study_name) VALUES (1, 'x')"))
        connection.execute(text("INSERT INTO trials (trial_id, study_id, state) VALUES (1, 1, 'RUNNING')"))
        connection.execute(text("INSERT INTO paretomerge_leases VALUES (1, 'driver', now())"))
        connection.execute(text("DELETE FROM trials"))
        assert connection.execute(text("SELECT count(*) FROM paretomerge_leases")).scalar_one() == 0
    engine.dispose()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    url = f"postgresql+psycopg://someone:s3cret@127.0.0.1:{unused_port()}/studies"
    with pytest.raises(
        DatabaseError, match=r"someone:\*\*\*@127.0.0.1:\d+/studies must answer, but does not"
    ) as caught:
        connect(url)
    assert "s3cret" not in str(caught.value)
    assert URL_VARIABLE in str(caught.value)


def test_a_wrong_password_is_not_shown(database_url: str) -> None:
    url = sqlalchemy.make_url(database_url).set(password="s3cret").render_as_string(hide_password=False)
    with pytest.raises(DatabaseError, match="password authentication failed") as caught:
        connect(url)
    assert "s3cret" not in str(caught.value)


def test_a_database_that_does_not_exist(database_url: str) -> None:
    url = sqlalchemy.make_url(database_url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(DatabaseError, match='database "nowhere" does not exist'):
        connect(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_any_postgresql_url_is_taken(scheme: str) -> None:
    url = normalized_url(f"{scheme}://user:p%40ss@host:5432/name?sslmode=require")
    assert url == "postgresql+psycopg://user:p%40ss@host:5432/name?sslmode=require"
    assert plain_url(url) == "postgresql://user:p%40ss@host:5432/name?sslmode=require"


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        ("mysql://user:s3cret@host/name", "must be a URL such as postgresql://.*, but its scheme is 'mysql'"),
        ("sqlite:///studies.db", "its scheme is 'sqlite'"),
        ("/var/lib/studies", "its scheme is '/var/lib/studies'"),
        ("postgresql://user:s3cret@host:port/name", "cannot be parsed: is the port a number"),
    ],
)
def test_another_url_is_refused(given: str, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, given)
    with pytest.raises(SpecificationError, match=f"`{URL_VARIABLE}` .*{pattern}") as caught:
        url_in_use()
    assert "s3cret" not in str(caught.value)


def test_the_variable_names_the_database(database: str) -> None:
    assert url_in_use() == database


def test_tests_never_reach_the_users_database() -> None:
    with pytest.raises(DatabaseError, match="/dev/null"):
        url_in_use()
