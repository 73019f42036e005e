"""`search`, `front`, `export` and `stop` against a service: the same commands, the same output."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from service.client.remote_service import RemoteService
from service.client.server_address import ServerAddress

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMAND = Path(sys.executable).parent / "paretomerge"
FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
TOKEN = "a-token-that-nobody-may-read"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def server(
    folder: Path,
    command_environment: dict[str, str],
    eventually: Callable[..., None],
    processes_of: Callable[[subprocess.Popen[bytes]], list[psutil.Process]],
) -> Iterator[str]:
    """The URL of a service with a cluster of its own, over the database of the commands."""
    said = folder / "said"
    command = [str(COMMAND), "serve", "--port", "0", "--exports", str(folder / "merges"), "--cpus", "2"]
    with open(said, "wb") as written:
        process = subprocess.Popen(
            command, env=command_environment | {"PARETOMERGE_TOKEN": TOKEN}, stderr=written, start_new_session=True
        )
    try:
        eventually(lambda: "http://" in said.read_text(), 120)
        found = re.search(r"http://[^/\s]+", said.read_text())
        assert found is not None
        yield found[0]
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    finally:
        for left in processes_of(process):
            left.kill()
        process.wait()
    assert TOKEN not in said.read_text()


@pytest.fixture(scope="module")
def run_there(run_command: Run, server: str) -> Run:
    """Runs a command by the service."""

    def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return run_command("--server", server, *arguments, **({"PARETOMERGE_TOKEN": TOKEN} | variables))

    return run


@pytest.fixture(scope="module")
def specification(write_specification: Callable[..., Path], folder: Path) -> Path:
    """Objectives not in the order of the alphabet; experts neither."""
    report = {"refusal": {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal"}}
    path = write_specification(folder, report=report, workers={"pool": "ray"}, search={"evaluations": 12})
    values = yaml.safe_load(path.read_text())
    for section, key in ((values, "objectives"), (values["models"], "experts")):
        section[key] = dict(reversed(section[key].items()))
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def searched(run_there: Run, specification: Path) -> subprocess.CompletedProcess[str]:
    """The search, by the service."""
    done = run_there("search", specification)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def front(run_there: Run, searched: subprocess.CompletedProcess[str], specification: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_there("front", specification.stem, "--json").stdout)
    return found


def test_search_follows_to_the_end(
    searched: subprocess.CompletedProcess[str], server: str, specification: Path
) -> None:
    assert f"Study {specification.stem} in {server}\n" in searched.stderr
    assert re.findall(r"^(\d+)/12  ", searched.stderr, re.MULTILINE) == [str(n) for n in range(1, 13)]
    assert "on held-out examples" in searched.stdout


def test_search_prints_what_it_prints_here(
    searched: subprocess.CompletedProcess[str], run_command: Run, run_there: Run, specification: Path
) -> None:
    here = run_command("search", specification)  # finished: nothing is evaluated again
    assert here.returncode == 0, here.stderr
    assert here.stdout == searched.stdout
    assert run_there("search", specification).stdout == searched.stdout


@pytest.mark.parametrize("options", [(), ("--json",), ("--where", "alignment>=0", "--json")], ids=" ".join)
def test_front_prints_what_it_prints_here(
    front: dict[str, Any], run_command: Run, run_there: Run, options: tuple[str, ...]
) -> None:
    here, there = (run("front", front["study"], *options) for run in (run_command, run_there))
    assert here.returncode == 0, here.stderr
    assert there.stdout == here.stdout
    assert there.stderr == here.stderr == ""


def test_front_is_plotted(front: dict[str, Any], run_there: Run, folder: Path) -> None:
    done = run_there("front", front["study"], "--plot", folder / "front.html")
    assert done.returncode == 0, done.stderr
    assert "uniform average" in (folder / "front.html").read_text()


def test_export_prints_what_it_prints_here(
    front: dict[str, Any], run_command: Run, run_there: Run, folder: Path, tmp_path: Path
) -> None:
    trial = str(front["front"][0]["trial"])
    here = run_command("export", front["study"], "--to", tmp_path / "merge", "--trial", trial)
    there = run_there("export", front["study"], "--to", "merge", "--trial", trial)
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    assert there.stdout == here.stdout
    messages = there.stderr.splitlines()
    assert f" of '{front['study']}' to merge" in messages[0]
    assert "reloading and scoring" in messages
    assert messages[-1].startswith(f"{folder}/merges/merge is whole: reloaded, it differs from its trial by ")
    files = {path.name for path in (tmp_path / "merge").iterdir()}
    assert {path.name for path in (folder / "merges" / "merge").iterdir()} == files
    weights = [(root / "model.safetensors").read_bytes() for root in (tmp_path / "merge", folder / "merges" / "merge")]
    assert weights[0] == weights[1]


def test_an_export_is_refused_as_it_is_here(front: dict[str, Any], run_there: Run) -> None:
    for options, hint in ((("--trial", "99"), "99"), (("--where", "alignment>=9"), "The best it reaches: ")):
        done = run_there("export", front["study"], "--to", "other", *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert hint in done.stderr


def test_stop_ends_a_search_and_its_watching(
    run_there: Run,
    server: str,
    write_specification: Callable[..., Path],
    start_command: Callable[..., subprocess.Popen[bytes]],
    eventually: Callable[..., None],
    tmp_path: Path,
) -> None:
    specification = write_specification(tmp_path, workers={"pool": "ray"}, search={"evaluations": 5000})
    watching = start_command("--server", server, "search", specification, PARETOMERGE_TOKEN=TOKEN)
    eventually(lambda: "evaluations are done" in (tmp_path / "stderr").read_text(), 120)
    with RemoteService(ServerAddress(server, TOKEN)) as service:
        eventually(lambda: service.search(specification.stem).n_finished > 0, 120)
    stopped = run_there("stop", specification.stem)
    assert stopped.returncode == 0, stopped.stderr
    assert "stops as soon as the candidates under way are finished" in stopped.stderr
    assert watching.wait(timeout=120) == 1
    assert re.search(r"Stopped at \d+ of 5000 evaluations. None is lost", (tmp_path / "stderr").read_text())
    assert " selected" in (tmp_path / "stdout").read_text()


def test_a_wrong_token(run_there: Run, front: dict[str, Any]) -> None:
    done = run_there("front", front["study"], PARETOMERGE_TOKEN="another")
    assert (done.returncode, done.stdout) == (1, "")
    assert "but refuses the one that was shown" in done.stderr
