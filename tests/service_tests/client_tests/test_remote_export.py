"""`paretomerge --server URL export` by the real command and the real service; the test writes in the worker's place."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.registry import ExportRow, JobRegistry
from service.settings import ServiceSettings
from service.studies import SearchStudy

COMMAND = Path(sys.executable).parent / "paretomerge"
TOKEN = "a-token-that-nobody-may-read"
SCORES = {"restraint": 0.5, "expertise": 0.25, "alignment": 0.125, "exact_match@holdout": 1.0}

Export = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def jobs(engine: Engine) -> JobRegistry[ExportRow]:
    return JobRegistry(engine, ExportRow)


@pytest.fixture
def name(stored: Callable[..., SearchStudy]) -> str:
    """Of a search with a front."""
    return stored().identity.name


@pytest.fixture
def export(name: str, service_url: str, command_environment: dict[str, str]) -> Iterator[Export]:
    """Starts an export of the base."""
    environment = command_environment | {"PARETOMERGE_TOKEN": TOKEN, "PARETOMERGE_SERVER": service_url}
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [str(COMMAND), "export", name, "--to", f"merge-of-{name}", "--trial", "0", *options]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def asked(jobs: JobRegistry[ExportRow], name: str) -> ExportRow:
    """The export that the command has asked for."""
    deadline = time.monotonic() + 60
    while not (rows := jobs.of_search(name)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return rows[0]


def told(process: subprocess.Popen[str], line: str) -> None:
    """Wait for a line of its messages."""
    assert process.stderr is not None
    while (read := process.stderr.readline()) != f"{line}\n":
        assert read, f"it ended without '{line}'"


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_stages_and_scores(
    export: Export, jobs: JobRegistry[ExportRow], name: str, settings: ServiceSettings, options: tuple[str, ...]
) -> None:
    command = export(*options)
    row = asked(jobs, name)
    told(command, f"Exporting base of '{name}' to merge-of-{name}")
    told(command, "queued")
    jobs.start(row.id)
    for stage in ("writing", "reloading and scoring"):
        jobs.report(row.id, stage)
        told(command, stage)
    jobs.finish(row.id, {"scores": SCORES, "largest_difference": 1.5e-7})
    stdout, stderr = command.communicate(timeout=60)
    assert command.returncode == 0
    folder = settings.exports / f"merge-of-{name}"
    if options:
        assert json.loads(stdout) == {"folder": str(folder), "trial": 0, "scores": SCORES}
        assert list(json.loads(stdout)["scores"]) == list(SCORES)
        return
    assert [line.split() for line in stdout.splitlines()] == [[k, f"{value:.4f}"] for k, value in SCORES.items()]
    assert stderr == f"{folder} is whole: reloaded, it differs from its trial by 1.5e-07 at most.\n"


def test_an_export_that_fails_says_why(export: Export, jobs: JobRegistry[ExportRow], name: str) -> None:
    command = export()
    jobs.fail(asked(jobs, name).id, "The export must be written to '/full', but cannot be: no space is left.")
    stdout, stderr = command.communicate(timeout=60)
    assert (command.returncode, stdout) == (1, "")
    assert stderr.endswith("Error: The export must be written to '/full', but cannot be: no space is left.\n")


def test_ctrl_c_ends_the_watching_only(
    export: Export, jobs: JobRegistry[ExportRow], name: str, service_url: str
) -> None:
    command = export()
    row = asked(jobs, name)
    told(command, "queued")
    command.send_signal(signal.SIGINT)
    _, stderr = command.communicate(timeout=60)
    assert command.returncode == 130
    assert f"No longer watching. The export goes on at {service_url}." in stderr
    assert jobs.get(row.id).state == "queued"
    jobs.fail(row.id, "The test is over.")
