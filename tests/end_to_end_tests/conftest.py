"""Searches by the real commands: finished ones to look at, and ones under way to be disturbed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

COMMAND = Path(sys.executable).parent / "paretomerge"

_TRIALS = """
    SELECT number, state::text,
           (SELECT json_object_agg(param_name, param_value) FROM trial_params WHERE trial_id = trials.trial_id),
           (SELECT json_agg(value ORDER BY objective) FROM trial_values WHERE trial_id = trials.trial_id)
    FROM trials JOIN studies USING (study_id) WHERE study_name = %s ORDER BY number
"""


@pytest.fixture(scope="session")
def searched(run_command: Run, write_specification: Write) -> Callable[..., str]:
    """Searches to the end; the study's name."""

    def search(folder: Path, **changes: Any) -> str:
        specification = write_specification(folder, **changes)
        done = run_command("search", specification)
        assert done.returncode == 0, done.stderr
        return specification.stem

    return search


@pytest.fixture(scope="session")
def ray_study(tmp_path_factory: pytest.TempPathFactory, searched: Callable[..., str]) -> str:
    """A finished search with two workers on Ray, which its exports use again."""
    family = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
    report = {"refusal": {"set": str(family / "safety.jsonl"), "scorer": "refusal"}}
    workers = {"pool": "ray", "count": 2}
    return searched(tmp_path_factory.mktemp("ray"), report=report, workers=workers, search={"evaluations": 14})


@pytest.fixture(scope="session")
def in_process_search() -> dict[str, Any]:
    """Six landmarks, some random trials, and then some that the sampler draws from what it has learned."""
    return {"evaluations": 20, "seed": 5, "sampler": "tpe"}


@pytest.fixture(scope="session")
def in_process_study(
    tmp_path_factory: pytest.TempPathFactory, searched: Callable[..., str], in_process_search: dict[str, Any]
) -> str:
    """A finished search with the one worker in its own process; never disturbed."""
    return searched(tmp_path_factory.mktemp("in-process"), search=in_process_search)


@pytest.fixture(scope="session")
def trials_of(run_command: Run) -> Callable[[str], list[tuple[Any, ...]]]:
    """A study's trials as Postgres has them: number, state, parameters, values."""
    url = run_command("database", "url").stdout.strip()

    def read(study: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            return connection.execute(_TRIALS, [study]).fetchall()

    return read


@pytest.fixture
def start_command(
    command_environment: dict[str, str], tmp_path: Path, processes_of: Callable[..., list[psutil.Process]]
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `paretomerge` as a terminal would, in a session of its own; writes `stdout` and `stderr` in `tmp_path`.

    Keywords are further variables of its environment.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str | Path, **variables: str) -> subprocess.Popen[bytes]:
        with open(tmp_path / "stdout", "wb") as stdout, open(tmp_path / "stderr", "wb") as stderr:
            streams: dict[str, Any] = {"stdout": stdout, "stderr": stderr, "stdin": subprocess.DEVNULL}
            command = [COMMAND, *arguments]
            environment = command_environment | variables
            started.append(subprocess.Popen(command, env=environment, start_new_session=True, **streams))
        return started[-1]

    yield start
    for command in started:
        for process in processes_of(command):
            process.kill()
        command.wait()


@pytest.fixture(scope="session")
def processes_of() -> Callable[[subprocess.Popen[bytes]], list[psutil.Process]]:
    """All living processes of a started command's session, also when the command itself is gone."""

    def find(command: subprocess.Popen[bytes]) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _lives_in(process, command.pid)]

    return find


def _lives_in(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Waits until a condition holds, and fails if it does not in a minute."""

    def wait(condition: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.05)

    return wait


@pytest.fixture
def search_until(
    tmp_path: Path,
    write_specification: Write,
    start_command: Callable[..., subprocess.Popen[bytes]],
    eventually: Callable[..., None],
) -> Callable[..., tuple[subprocess.Popen[bytes], str]]:
    """Starts a search and waits until its progress tells so much or more, as `12/40`; the process and the study."""

    def search(progress: str, **changes: Any) -> tuple[subprocess.Popen[bytes], str]:
        specification = write_specification(tmp_path, **changes)
        process = start_command("search", specification)
        spent, _, budget = progress.partition("/")
        told = re.compile(rf"^([\d.]+)/{budget} ", re.MULTILINE)
        # One with gradients costs several evaluations, so that a line may be passed over.
        eventually(
            lambda: any(float(n) >= float(spent) for n in told.findall((tmp_path / "stderr").read_text())),
            timeout_s=180,
        )
        assert process.poll() is None
        return process, specification.stem

    return search
