"""`paretomerge serve`: what it refuses, what it says, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

COMMAND = Path(sys.executable).parent / "paretomerge"
TOKEN = "a-token-of-some-length"
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Run = Callable[..., subprocess.CompletedProcess[str]]


def told(done: subprocess.CompletedProcess[str], exit_code: int = 2) -> str:
    """The message of a command that failed as it should."""
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is run: its roots are seen from there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_the_network_needs_a_token(run_command: Run, host: str) -> None:
    message = told(run_command("serve", "--host", host, PARETOMERGE_TOKEN=""))
    assert f"--host {host}" in message
    assert "PARETOMERGE_TOKEN" in message
    assert "--insecure" in message


@pytest.mark.parametrize("token", ["two words", "schlüssel", "tab\tbed"])
def test_a_token_that_no_header_can_hold(run_command: Run, token: str) -> None:
    message = told(run_command("serve", PARETOMERGE_TOKEN=token))
    assert "PARETOMERGE_TOKEN" in message
    assert token not in message


@pytest.mark.parametrize("option", ["--models", "--sets"])
def test_a_root_must_be_there(run_command: Run, option: str) -> None:
    assert f"`{option}` must be a folder, but 'nowhere' is none" in told(run_command("serve", option, "nowhere"))


def test_exports_must_be_a_folder(run_command: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "`--exports` must be a folder" in told(run_command("serve", "--exports", tmp_path / "file"))


def test_a_port_that_is_taken(run_command: Run, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        message = told(run_command("serve", "--port", str(port)), 1)
    assert f"127.0.0.1:{port}" in message
    assert "`--port`" in message


def test_a_lost_database(run_command: Run, folder: Path) -> None:
    url = "postgresql://postgres:geheim@127.0.0.1:9/none"
    message = told(run_command("serve", "--port", "0", PARETOMERGE_DATABASE_URL=url), 1)
    assert "127.0.0.1:9" in message
    assert "geheim" not in message


@pytest.fixture
def started(
    folder: Path, command_environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str, Callable[[], str]]]:
    """A service with a token: its process, its URL, and what it says."""
    errors = folder / "stderr"
    command = [str(COMMAND), "serve", "--port", "0", "--slots", "2", "--cpus", "1"]
    environment = command_environment | {"PARETOMERGE_TOKEN": TOKEN}
    with errors.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment, stderr=stderr, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", errors.read_text())):
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, found[0], errors.read_text
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("ending", SIGNALS, ids=lambda ending: ending.name)
def test_it_serves_and_ends(
    started: tuple[subprocess.Popen[bytes], str, Callable[[], str]], folder: Path, ending: signal.Signals
) -> None:
    process, url, said = started
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx2.get(f"{url}healthz").json()["status"] == "ok"
    assert httpx2.get(f"{url}v1/searches").status_code == 401
    assert httpx2.get(f"{url}v1/searches", headers=headers).status_code == 200
    with httpx2.stream("GET", f"{url}v1/choices", headers=headers) as answer:
        assert answer.status_code == 200
    process.send_signal(ending)
    assert process.wait(timeout=60) == 0
    message = said()
    for fact in (f"{folder}/models\n", f"{folder}/sets (not there yet)", f"{folder}/merges\n", "2 searches", "token"):
        assert fact in message
    assert TOKEN not in message
    assert "Traceback" not in message
    assert (folder / "merges").is_dir()


def test_the_database_is_upgraded(run_command: Run) -> None:
    done = run_command("database", "upgrade")
    assert done.returncode == 0, done.stderr
    assert re.search(r"The tables of \S+ are at revision \d{4}\.", done.stdout)
    assert "postgres:" not in done.stdout
