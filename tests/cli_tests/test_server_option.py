"""Which commands a remote service answers, what is said where it cannot, and what is never shown."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search_spaces.errors import SpecificationError
from service.cli.app import app
from service.database.connection import shown_url
from service.specification import load_specification
from tests.scripted_server import ScriptedServer, closes, problem, running

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

TOKEN = "a-token-that-nobody-may-read"
HERE_ONLY = [
    ("demo",),
    ("methods",),
    ("import", "x.yaml"),
    ("cocktail", "x.yaml"),
    ("descend", "x.yaml"),
    ("merge", "x.yaml", "--to", "y"),
    ("synthesize", "x.yaml"),
    ("plan", "x.yaml"),
    ("compare", "any", "0", "1"),
    ("evaluate", "any"),
    ("dashboard",),
    ("database", "url"),
    ("database", "stop"),
]


@pytest.fixture
def nobody() -> str:
    """A URL at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> Iterator[ScriptedServer]:
    """A service that wants another token."""
    with running(ScriptedServer([problem(401, "unauthorized", "A call must show the token.")])) as server:
        yield server


def told(done: subprocess.CompletedProcess[str], exit_code: int) -> str:
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", HERE_ONLY, ids=" ".join)
def test_commands_that_work_here_only_refuse_a_server(run_command: Run, command: tuple[str, ...], nobody: str) -> None:
    message = told(run_command("--server", nobody, *command), 2)
    assert "`--server` is for search, front, export and stop" in message
    words = " ".join(word for word in command if word in ("database", "url", "stop") or word == command[0])
    assert f"`paretomerge {words}`" in message


def test_every_command_is_one_or_the_other() -> None:
    remote = {"search", "stop", "front", "export"}
    here_only = {command[0] for command in HERE_ONLY} - {"database"}
    registered = {str(info.name or info.callback.__name__) for info in app.registered_commands if info.callback}
    assert registered - {"serve"} == remote | here_only


def test_help_is_given_whatever_the_server(run_command: Run) -> None:
    for command in ("plan", "front"):
        assert run_command(command, "--help", PARETOMERGE_SERVER="nonsense").returncode == 0


def test_an_empty_server_is_none(run_command: Run, nobody: str) -> None:
    message = told(run_command("--server", "", "stop", "any", PARETOMERGE_SERVER=nobody), 2)
    assert "`stop` needs the service that searches: name it with `--server` or PARETOMERGE_SERVER" in message
    assert "Ctrl-C" in message


@pytest.mark.parametrize(
    "command", [("front", "any"), ("stop", "any"), ("export", "any", "--to", "merge")], ids=lambda given: given[0]
)
def test_nothing_listens(run_command: Run, command: tuple[str, ...], nobody: str) -> None:
    by_option = told(run_command("--server", nobody, *command), 1)
    by_variable = told(run_command(*command, PARETOMERGE_SERVER=nobody), 1)
    assert by_option == by_variable
    assert f"A service must listen at {nobody}" in by_option


def test_search_sends_a_file_that_it_can_read(run_command: Run, tmp_path: Path, nobody: str) -> None:
    assert "'nowhere.yaml' is not" in told(run_command("--server", nobody, "search", "nowhere.yaml"), 2)
    (tmp_path / "spec.yaml").write_text("name: any\n")
    assert "must listen" in told(run_command("--server", nobody, "search", tmp_path / "spec.yaml"), 1)


def test_no_url(run_command: Run) -> None:
    assert "must be a URL such as" in told(run_command("--server", "localhost:8008", "front", "any"), 2)


@pytest.mark.parametrize("to", ["merges/mine", "/srv/merge", "../merge", "~/merge"])
def test_a_remote_export_has_a_name_and_no_path(run_command: Run, to: str, nobody: str) -> None:
    message = told(run_command("--server", nobody, "export", "any", "--to", to), 2)
    assert "`--to` must be a name" in message
    assert "root of exports" in message


@pytest.mark.parametrize("options", [(), ("--debug",)], ids=["plain", "debug"])
def test_a_token_is_sent_and_never_shown(run_command: Run, refusing: ScriptedServer, options: tuple[str, ...]) -> None:
    done = run_command(*options, "--server", refusing.url, "front", "any", PARETOMERGE_TOKEN=TOKEN)
    assert done.returncode == 1
    assert "but refuses the one that was shown. Put the token" in done.stderr
    assert "PARETOMERGE_TOKEN" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert refusing.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_a_missing_token_is_asked_for(run_command: Run, refusing: ScriptedServer) -> None:
    done = run_command("--server", refusing.url, "front", "any", PARETOMERGE_TOKEN="")
    assert "but was shown none" in told(done, 1)
    assert "Authorization" not in refusing.requests[0][1]


def test_what_does_not_speak_http(run_command: Run) -> None:
    with running(ScriptedServer([closes])) as server:
        assert "Is it a paretomerge service?" in told(run_command("--server", server.url, "front", "any"), 1)


# ---- what else is shown and read ----------------------------------------------------------------


def test_search_hides_the_password_and_database_url_does_not(
    run_command: Run, write_specification: Write, tmp_path: Path
) -> None:
    url = run_command("database", "url").stdout.strip()
    password = url.partition("@")[0].rpartition(":")[2]
    done = run_command("search", write_specification(tmp_path, search={"evaluations": 1}))
    assert done.returncode == 0, done.stderr
    assert len(password) > 8
    assert f" in {shown_url(url)}\n" in done.stderr
    assert password not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:secret@host:5432/studies", "postgresql://me:***@host:5432/studies"),
        ("postgresql://me:secret@host/studies", "postgresql://me:***@host/studies"),
        ("postgres://host/studies", "postgresql://host/studies"),
    ],
)
def test_shown_url(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_home_is_expanded_in_options(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    specification = write_specification(tmp_path)
    assert run_command("search", specification).returncode == 0
    done = run_command("front", specification.stem, "--plot=~/front.svg", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "front.svg").is_file()
    assert f"Wrote {tmp_path}/front.svg" in done.stderr


@pytest.mark.parametrize("name", ["2024", "1e3", "true", "demo"])
def test_a_name_that_yaml_would_read_otherwise(tmp_path: Path, name: str) -> None:
    from service.demo import demo_specification

    path = tmp_path / "spec.yaml"
    path.write_text(demo_specification(name, 10, 1))
    assert load_specification(path).name == name


def test_a_name_that_cannot_be(tmp_path: Path) -> None:
    from service.demo import demo_specification

    (tmp_path / "spec.yaml").write_text(demo_specification('a" b', 10, 1))
    with pytest.raises(SpecificationError, match="`name`"):
        load_specification(tmp_path / "spec.yaml")
