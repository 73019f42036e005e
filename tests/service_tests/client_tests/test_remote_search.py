"""`paretomerge --server URL search` and `stop` by the real commands and the real service; the test is the driver."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine

from service.cli.remote_search import search_remotely
from service.registry import SearchRegistry, SearchState
from service.search.preparation import prepare_search
from service.specification import Specification
from service.studies import Driver, SearchStudy
from tests.scripted_server import Reply, ScriptedServer, events, says
from workers.evaluation import Evaluation, Score

Run = Callable[..., subprocess.CompletedProcess[str]]
Drive = Callable[..., None]

COMMAND = Path(sys.executable).parent / "paretomerge"
TOKEN = "a-token-that-nobody-may-read"
N_EVALUATIONS = 8


@dataclass
class Watching:
    """A command that watches a search, and what it has written so far."""

    name: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def until(self, pattern: str) -> None:
        """Wait for a line of its messages."""
        deadline = time.monotonic() + 60
        while not re.search(pattern, self.stderr, re.MULTILINE):
            assert time.monotonic() < deadline, self.stderr
            time.sleep(0.02)

    def end(self) -> int:
        return self.process.wait(timeout=60)


@pytest.fixture
def name(study_name: str) -> str:
    return study_name


@pytest.fixture
def specification(tmp_path: Path, name: str, write_specification: Callable[..., Path]) -> Path:
    search = {"evaluations": N_EVALUATIONS, "sampler": "random"}
    return write_specification(tmp_path, name=name, workers={"pool": "ray"}, search=search)


@pytest.fixture
def watch(
    specification: Path, service_url: str, command_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Watching]]:
    """Starts `search` on the test's specification."""
    environment = command_environment | {"PARETOMERGE_TOKEN": TOKEN}
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> Watching:
        command = [str(COMMAND), "--server", service_url, "search", str(specification), *options]
        with open(tmp_path / "stdout", "wb") as stdout, open(tmp_path / "stderr", "wb") as stderr:
            started.append(subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr))
        return Watching(specification.stem, started[-1], tmp_path)

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def front_here(run_command: Run, database_url: str) -> Callable[..., str]:
    """What `front` prints over the database."""
    return lambda name, *options: run_command("front", name, *options, PARETOMERGE_DATABASE_URL=database_url).stdout


@pytest.fixture
def registry(engine: Engine) -> SearchRegistry:
    return SearchRegistry(engine)


@pytest.fixture
def drive(engine: Engine, registry: SearchRegistry, name: str) -> Iterator[Drive]:
    """Evaluates candidates of the queued search as its driver would, without workers."""
    with ExitStack() as stack:

        def run(n_candidates: int) -> None:
            registry.start(name, "driver")
            row = registry.get(name)
            prepared = prepare_search(Specification.model_validate_json(json.dumps(row.specification)))
            driver = stack.enter_context(Driver(engine))
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            for _ in range(n_candidates):
                asked = study.ask()
                assert asked is not None
                draw = Random(asked.number).random
                scores = {name: Score(draw(), 0.1, 4, (0.5,) * 4) for name in prepared.objectives}
                study.tell(asked.number, Evaluation(scores, make_s=0.1, score_s=0.2))

        yield run


def wait_for(registry: SearchRegistry, name: str, state: SearchState) -> None:
    deadline = time.monotonic() + 60
    while registry.get(name).state != state:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["tables", "json"])
def test_a_search_from_queue_to_front(
    watch: Callable[..., Watching],
    drive: Drive,
    registry: SearchRegistry,
    service_url: str,
    front_here: Callable[..., str],
    options: tuple[str, ...],
) -> None:
    command = watch(*options)
    name = command.name
    command.until(r"^0 of 8 evaluations are done\.$")
    assert f"Study {name} in {service_url}\n" in command.stderr
    registry.explain(name, SearchState.QUEUED, "waits for a slot: 4 searches run")
    command.until("^waits for a slot: 4 searches run$")
    drive(3)
    command.until("^3/8 .*best expertise 0.")
    drive(5)
    registry.end(name, SearchState.FINISHED)
    assert command.end() == 0, command.stderr
    counts = re.findall(r"^(\d+)/8  ", command.stderr, re.MULTILINE)
    assert counts == [str(n) for n in range(1, 9)]
    assert f"paretomerge --server {service_url} front {name} --plot" in command.stderr
    # What a search prints is what `front` prints, here and there.
    assert command.stdout == front_here(name, *options)


def test_ctrl_c_ends_the_watching_only(
    watch: Callable[..., Watching], drive: Drive, registry: SearchRegistry, name: str, service_url: str
) -> None:
    command = watch()
    command.until(r"evaluations are done")
    drive(2)
    command.until("^2/8 ")
    command.process.send_signal(signal.SIGINT)
    assert command.end() == 130
    assert f"The search goes on at {service_url}" in command.stderr
    assert f"Stop it: paretomerge --server {service_url} stop {name}" in command.stderr
    assert "Traceback" not in command.stderr
    assert registry.get(name).state == SearchState.RUNNING
    again = watch()
    again.until(r"^2 of 8 evaluations are done\.$")
    assert f"'{name}' is running already" in again.stderr


def test_a_failed_search_says_why(
    watch: Callable[..., Watching], drive: Drive, registry: SearchRegistry, name: str
) -> None:
    command = watch()
    command.until("evaluations are done")
    drive(1)
    registry.end(name, SearchState.FAILED, "No worker could be started: the cluster has no GPU.")
    assert command.end() == 1
    assert f"Error: The search '{name}' failed: No worker could be started: the cluster has no GPU.\n" in command.stderr
    assert command.stdout == ""


def test_stop_and_resume(
    watch: Callable[..., Watching], drive: Drive, registry: SearchRegistry, run_command: Run, service_url: str
) -> None:
    command = watch()
    name = command.name
    command.until("evaluations are done")
    drive(7)
    stopped = run_command("--server", service_url, "stop", name, PARETOMERGE_TOKEN=TOKEN)
    assert stopped.returncode == 0, stopped.stderr
    assert f"'{name}' stops as soon as the candidates under way are finished. 7 of 8 evaluations" in stopped.stderr
    registry.end(name, SearchState.STOPPED)
    assert command.end() == 1
    assert " selected" in command.stdout
    assert "Stopped at 7 of 8 evaluations. None is lost: the same command goes on from here." in command.stderr

    again = run_command("--server", service_url, "stop", name, PARETOMERGE_TOKEN=TOKEN)
    assert again.returncode == 2
    assert "must be queued or running to be stopped" in again.stderr

    command = watch()
    command.until(r"^7 of 8 evaluations are done\.$")
    wait_for(registry, name, SearchState.QUEUED)
    drive(1)
    registry.end(name, SearchState.FINISHED)
    assert command.end() == 0, command.stderr
    assert re.findall(r"^(\d)/8  ", command.stderr, re.MULTILINE) == ["8"]


def test_a_queued_search_stops_at_once(
    registry: SearchRegistry, specification: Path, name: str, run_command: Run, service_url: str
) -> None:
    from service.specification import load_specification

    registry.create(load_specification(specification))
    done = run_command("stop", name, PARETOMERGE_SERVER=service_url, PARETOMERGE_TOKEN=TOKEN)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"The search '{name}' is stopped. 0 of 8 evaluations are done." in done.stderr


def test_a_specification_that_the_service_refuses(specification: Path, run_command: Run, service_url: str) -> None:
    text = specification.read_text()
    for right, wrong, hint in (
        ("refusal_margin", "kindness", "kindness"),
        ("granularity", "granularty", "Did you mean `granularity`?"),
        ("models:", "models: [", "must be YAML"),
        ("tiny_family/base", "tiny_family/../base", "models.base"),
    ):
        specification.write_text(text.replace(right, wrong))
        done = run_command("--server", service_url, "search", specification, PARETOMERGE_TOKEN=TOKEN)
        assert (done.returncode, done.stdout) == (2, "")
        assert hint in done.stderr
        assert "Traceback" not in done.stderr


def test_an_end_that_is_over_is_not_the_end(
    scripted: Callable[..., ScriptedServer], specification: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the first event tells may be older than the search's being resumed."""
    stopped, running, finished = (detail_of(state) for state in ("stopped", "running", "finished"))
    server = scripted(
        said(running),
        events(("a", "search", stopped)),
        said(running),
        events(("b", "search", finished)),
        said(finished),
        said(finished),
        said({"trials": [], "total": 0, "offset": 0, "next_offset": None}),
    )
    search_remotely(server.url, specification, json=False)
    assert len(server.requests) == 7
    assert "No merge has been scored yet." in capsys.readouterr().err


def detail_of(state: str) -> dict[str, object]:
    counts = dict.fromkeys(("budget", "n_finished", "spent_evaluations", "n_failed", "n_running", "n_workers"), 0)
    times = dict.fromkeys(("created_at", "started_at", "ended_at"))
    specification = {"search": {"sampler": "auto"}}
    texts = {"name": "any", "state": state, "message": "", "objectives": ["alignment"], "holdout_measures": []}
    return counts | times | texts | {"specification": specification}


def said(values: object) -> Reply:
    return says(200, "application/json", json.dumps(values))
