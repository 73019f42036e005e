"""A service whose processes are killed in mid-search: nothing is lost or done twice, and it goes on by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import Engine

from service.database.connection import connect, plain_url
from service.registry import ExportRow, JobRegistry, JobState, SearchRegistry, SearchState
from service.settings import ServiceSettings
from service.specification import load_specification
from service.supervision.handed_settings import written_settings
from service.supervision.process_session import members
from workers.checkpoints import MappedCheckpoint

Write = Callable[..., Path]
Eventually = Callable[..., None]

pytestmark = pytest.mark.faults

N_EVALUATIONS = 150
# What `paretomerge serve` does for its supervisor, and nothing else.
PARENT = """
import sys, time
from service.supervision import SupervisorProcess
from service.supervision.handed_settings import read_settings
with SupervisorProcess(read_settings(sys.stdin.buffer.readline())) as supervisor:
    while True:
        print(supervisor.pid, flush=True)
        time.sleep(0.2)
"""
_TRIALS = """
    SELECT number, state::text,
           (SELECT json_object_agg(param_name, param_value) FROM trial_params WHERE trial_id = trials.trial_id),
           (SELECT json_agg(value ORDER BY objective) FROM trial_values WHERE trial_id = trials.trial_id)
    FROM trials JOIN studies USING (study_id) WHERE study_name = %s ORDER BY number
"""


class Service:
    """The supervisor's half of a service, with one slot and two cores.

    Args:
        database_url: of its database.
        folder: for its exports, and what it prints.
    """

    def __init__(self, database_url: str, folder: Path) -> None:
        self.url = database_url
        self.exports = folder / "exports"
        self.exports.mkdir()
        self._printed = folder / "printed"
        self.parent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = ServiceSettings(self.url, self.exports, n_slots=1, n_cpus=2)
        with open(self._printed, "wb") as printed:
            self.parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=printed)
        assert self.parent.stdin
        self.parent.stdin.write(written_settings(settings))
        self.parent.stdin.close()

    def kill(self) -> None:
        """Kill the parent, and nothing else."""
        assert self.parent
        self.parent.kill()
        self.parent.wait()

    def session(self) -> int:
        """Of the supervisor that lives now."""
        return int(self._printed.read_text().split()[-1])

    def processes(self, *names: str) -> list[psutil.Process]:
        """Of the supervisor's session, by the beginnings of their names."""
        living = (psutil.Process(pid) for pid in members(self.session()) if psutil.pid_exists(pid))
        return [process for process in living if process.name().startswith(names)]


@pytest.fixture(scope="module")
def service(
    fresh_database_url: str, tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> Iterator[Service]:
    """Runs, and is left running by every test."""
    service = Service(fresh_database_url, tmp_path_factory.mktemp("service"))
    service.start()
    yield service
    session = service.session()
    service.kill()
    eventually(lambda: not members(session), timeout_s=30)


@pytest.fixture(scope="module")
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = connect(fresh_database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def searches(engine: Engine) -> SearchRegistry:
    return SearchRegistry(engine)


@pytest.fixture(scope="module")
def launch(
    tmp_path_factory: pytest.TempPathFactory, write_specification: Write, searches: SearchRegistry
) -> Callable[[int], str]:
    """Ask for a search of so many evaluations; its name."""

    def make(evaluations: int) -> str:
        folder, workers = tmp_path_factory.mktemp("search"), {"pool": "ray", "count": 1}
        path = write_specification(folder, search={"evaluations": evaluations}, workers=workers)
        return searches.create(load_specification(path)).name

    return make


class Disturbed:
    """One search, to which all of it happens.

    Args:
        name: of the search.
        database_url: where it is.
    """

    def __init__(self, name: str, database_url: str) -> None:
        self.name = name
        self._url = plain_url(database_url)
        self._seen: dict[int, tuple[Any, ...]] = {}

    def finished(self) -> dict[int, tuple[Any, ...]]:
        """Parameters and values by number; what was once seen must stay as it is."""
        trials = self.trials()
        found = {number: (params, values) for number, state, params, values in trials if state == "COMPLETE"}
        assert [number for number, *_ in trials] == list(range(len(trials)))
        assert self._seen.items() <= found.items()
        self._seen = found
        return found

    def trials(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(_TRIALS, [self.name]).fetchall()


@pytest.fixture(scope="module")
def disturbed(service: Service, fresh_database_url: str, launch: Callable[[int], str]) -> Disturbed:
    return Disturbed(launch(N_EVALUATIONS), fresh_database_url)


@pytest.fixture
def goes_on(disturbed: Disturbed, eventually: Eventually) -> Callable[[], None]:
    """Waits until some more evaluations are done."""

    def wait() -> None:
        started, n_before = time.monotonic(), len(disturbed.finished())
        eventually(lambda: len(disturbed.finished()) > n_before + 2, timeout_s=120)
        print(f"progress after {time.monotonic() - started:.1f} s, at {n_before} evaluations")
        assert len(disturbed.finished()) < N_EVALUATIONS  # it is still in mid-search

    return wait


def test_killed_driver(service: Service, disturbed: Disturbed, goes_on: Callable[[], None]) -> None:
    goes_on()
    (driver,) = service.processes("ray::SearchDri")
    driver.kill()
    driver.wait()
    goes_on()


def test_killed_ray_head(
    service: Service, disturbed: Disturbed, goes_on: Callable[[], None], eventually: Eventually
) -> None:
    """While the supervisor waits for an answer of it: then Ray itself would wait for a minute, and end the process."""
    goes_on()
    head, session = service.processes("gcs_server", "raylet"), service.session()
    assert len(head) == 2
    for process in head:
        process.suspend()
    time.sleep(2)  # the supervisor asks once per second
    for process in head:
        process.kill()
    # Workers may still finish what they have: only what comes under the next cluster shows that the search goes on.
    eventually(lambda: service.session() != session, timeout_s=60)
    goes_on()


def test_killed_service(
    service: Service, disturbed: Disturbed, goes_on: Callable[[], None], eventually: Eventually
) -> None:
    goes_on()
    session, killed = service.session(), time.monotonic()
    assert service.processes("raylet")
    service.kill()
    eventually(lambda: not members(session), timeout_s=30)
    print(f"no process is left {time.monotonic() - killed:.1f} s after the fault")
    service.start()
    goes_on()


def test_stopped_and_resumed(
    service: Service,
    disturbed: Disturbed,
    goes_on: Callable[[], None],
    searches: SearchRegistry,
    eventually: Eventually,
) -> None:
    goes_on()
    assert searches.stop(disturbed.name).state == SearchState.STOPPING
    eventually(lambda: searches.get(disturbed.name).state == SearchState.STOPPED)
    assert {state for _, state, *_ in disturbed.trials()} == {"COMPLETE"}
    searches.resume(disturbed.name)
    goes_on()


@pytest.fixture(scope="module")
def study(service: Service, disturbed: Disturbed, searches: SearchRegistry, eventually: Eventually) -> str:
    """The same search in the end: its budget is exact, and no trial was lost or done twice."""
    eventually(lambda: searches.get(disturbed.name).state == SearchState.FINISHED, timeout_s=180)
    assert disturbed.finished().keys() == set(range(N_EVALUATIONS))
    assert len(disturbed.trials()) == N_EVALUATIONS
    return disturbed.name


@pytest.mark.parametrize("stage", ["starting a worker", "writing", "reloading and scoring"])
def test_killed_export(stage: str, service: Service, engine: Engine, study: str, eventually: Eventually) -> None:
    exports = JobRegistry(engine, ExportRow)
    folder = service.exports / stage.replace(" ", "-")
    row = exports.create(ExportRow(search=study, trial=3, folder=str(folder), max_shard_size="5GB"))
    eventually(lambda: exports.get(row.id).stage == stage)
    killed = time.monotonic()
    for driver in service.processes("ray::ExportDri"):
        driver.kill()
    # Complete or absent: the last file to be written is there, or the folder is not.
    assert not folder.exists() or (folder / "README.md").exists()
    eventually(lambda: exports.get(row.id).state == JobState.FINISHED, timeout_s=120)
    print(f"exported {time.monotonic() - killed:.1f} s after the fault, in {exports.get(row.id).n_starts} starts")
    assert (exports.get(row.id).result or {})["largest_difference"] < 1e-5
    assert MappedCheckpoint(folder).header.n_parameters == 201_280
    assert not list(service.exports.glob(".*"))


@pytest.mark.usefixtures("service")
def test_one_slot_is_a_queue(launch: Callable[[int], str], searches: SearchRegistry, eventually: Eventually) -> None:
    names = [launch(3) for _ in range(2)]
    eventually(lambda: searches.get(names[1]).message == "waits for a slot: 1 of 1 are taken")
    eventually(lambda: searches.get(names[1]).state == SearchState.FINISHED, timeout_s=200)
    earlier, later = (searches.get(name) for name in names)
    assert earlier.ended_at is not None
    assert later.started_at is not None
    assert earlier.ended_at <= later.started_at


def test_secrets_are_in_no_process_list_or_log(service: Service, engine: Engine) -> None:
    password = engine.url.password
    assert password
    for process in service.processes(""):
        with suppress(psutil.NoSuchProcess):
            assert password not in "".join((*process.cmdline(), *process.environ().values()))
    (raylet,) = service.processes("raylet")
    (folder,) = (word.partition("=")[2] for word in raylet.cmdline() if word.startswith("--session_dir="))
    logs = [path for path in Path(folder, "logs").rglob("*") if path.is_file()]
    assert logs
    assert not [log for log in logs if password.encode() in log.read_bytes()]
