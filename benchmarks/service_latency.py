"""Latency of `GET front` for many clients while searches write: `python -m benchmarks.service_latency`.

The service runs over a real database with studies of 5,000 trials, which other processes go on writing: they tell
made-up values, or, with `--real`, they are the service's own searches over the bundled family. The same run asks
`GET /healthz`, which touches nothing: the floor of this machine under this load; and it times what a request would
cost that reads the study as Optuna does: the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

from benchmarks.bulk_studies import fill, made_up, open_bulk_study
from service.database.connection import URL_VARIABLE, connect, database_url
from service.database.embedded_postgres import EmbeddedPostgres
from service.results import front_json
from service.search.selection import select_trial
from service.settings import ServiceSettings
from service.studies import Driver, load_study

N_STUDIES, N_TRIALS, N_CLIENTS = 4, 5000, 50
# Between two requests of a client: with the answer's time, two to five requests a second.
PAUSE_S = (0.2, 0.5)
WRITES_PER_S = 3.0
GOAL_S = 0.25
_BUDGET = 1_000_000


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.role == "serve":
        _serve(arguments.port)
    elif arguments.role == "write":
        _write(arguments.name)
    elif arguments.role == "poll":
        asyncio.run(_poll(arguments.port, arguments.seconds))
    else:
        _measure(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", nargs="?", choices=["measure", "serve", "write", "poll"], default="measure")
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--real", action="store_true", help="write by searches of the service, which make and score candidates"
    )
    return parser.parse_args()


# ---- the whole ----


def _measure(arguments: argparse.Namespace) -> None:
    names = [f"bench-{i}" for i in range(N_STUDIES)]
    with ExitStack() as stack:
        stack.enter_context(_database())
        engine = connect(database_url())
        stack.callback(engine.dispose)
        for seed, name in enumerate(names):
            with Driver(engine) as driver:
                fill(engine, open_bulk_study(engine, driver, name, _BUDGET), N_TRIALS, seed)
        print(f"{N_STUDIES} studies of {N_TRIALS} trials", flush=True)
        port = _free_port()
        if arguments.real:
            stack.enter_context(_whole_service(port))
            for name in names:
                _resume(port, name)
        else:
            stack.enter_context(_running(_command("serve", "--port", str(port))))
            for name in names:
                stack.enter_context(_running(_command("write", name)))
            _wait_for(port)
        _wait_for_writes(names)
        command = _command("poll", "--port", str(port), "--seconds", str(arguments.seconds))
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        naive_s = [_naive(names[0]) for _ in range(3)]
        grown = [len(load_study(engine, name).trials) - N_TRIALS for name in names]
    _report(found, naive_s, grown)


def _report(found: dict[str, Any], naive_s: list[float], grown: list[int]) -> None:
    for name, times in found["latencies_s"].items():
        p50, p90, p99 = (1000 * value for value in np.percentile(times, [50, 90, 99]))
        rate = len(times) / found["seconds"]
        print(
            f"{name:24}p50 {p50:6.1f} ms  p90 {p90:6.1f}  p99 {p99:6.1f}  max {1000 * max(times):6.1f}  {rate:6.1f}/s"
        )
    cold = ", ".join(f"{1000 * value:.0f}" for value in found["cold_s"])
    print(f"the first GET front of each study: {cold} ms")
    print(f"errors: {found['n_errors']}; trials written meanwhile: {grown}")
    print(f"load_study + front_json, for one client: {1000 * min(naive_s):.0f} ms at best of {len(naive_s)}")
    print(f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    p99 = float(np.percentile(found["latencies_s"]["GET front"], 99))
    kept = p99 < GOAL_S and not found["n_errors"]
    print(f"p99 of GET front < {1000 * GOAL_S:.0f} ms: {'kept' if kept else 'not kept'}")


def _naive(name: str) -> float:
    engine = connect(database_url())
    started = time.perf_counter()
    stored = load_study(engine, name)
    objectives = stored.identity.objectives
    json.dumps(front_json(stored.trials, objectives, select_trial(stored.trials, objectives), stored.scores))
    engine.dispose()
    return time.perf_counter() - started


# ---- its processes ----


@contextmanager
def _database() -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-bench-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    os.environ[URL_VARIABLE] = server.start()
    try:
        yield
    finally:
        server.stop()
        shutil.rmtree(folder)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.service_latency", *arguments]


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _whole_service(port: int) -> Iterator[None]:
    """`paretomerge serve` with its supervisor and a cluster of one worker for each study."""
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-bench-"))
    program = Path(sys.executable).parent / "paretomerge"
    options = ["--port", str(port), "--cpus", str(N_STUDIES), "--exports", str(folder)]
    try:
        with _running([str(program), "serve", *options]):
            _wait_for(port)
            yield
    finally:
        shutil.rmtree(folder)


def _resume(port: int, name: str) -> None:
    """Hand a study that commands have written to the service."""
    request = Request(f"http://127.0.0.1:{port}/v1/searches/{name}/resume", method="POST")
    with urlopen(request) as answer:
        assert answer.status == 202


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int) -> None:
    while True:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.2)


def _wait_for_writes(names: list[str]) -> None:
    """Until every writer has loaded its study and told a trial."""
    from sqlalchemy import text

    engine = connect(database_url())
    grown = text(
        "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = :name"
        " AND state IN ('COMPLETE', 'FAIL')"
    )
    for name in names:
        with engine.connect() as connection:
            while connection.execute(grown, {"name": name}).scalar_one() <= N_TRIALS:
                connection.rollback()
                time.sleep(0.2)
    engine.dispose()


def _serve(port: int) -> None:
    from service.api.app import create_app
    from service.api.server import run_server

    url = database_url()
    app = create_app(ServiceSettings(database_url=url, exports=Path(tempfile.gettempdir())), connect(url))
    with suppress(KeyboardInterrupt):
        run_server(app, socket.create_server(("127.0.0.1", port)))


def _write(name: str) -> None:
    """Tell made-up values at a steady rate, as a search would whose candidates cost this machine nothing."""
    engine = connect(database_url())
    with Driver(engine) as driver:
        bulk = open_bulk_study(engine, driver, name, _BUDGET)
        rng = np.random.default_rng()
        while (asked := bulk.study.ask()) is not None:
            time.sleep(rng.exponential(1.0 / WRITES_PER_S))
            bulk.study.tell(asked.number, made_up(rng, N_TRIALS))


# ---- the clients ----


async def _poll(port: int, seconds: float) -> None:
    latencies_s: dict[str, list[float]] = {"GET front": [], "GET /healthz": []}
    errors: list[str] = []
    fronts = [f"/v1/searches/bench-{i % N_STUDIES}/front" for i in range(N_CLIENTS)]
    cold_s: list[float] = []
    for path in fronts[:N_STUDIES]:  # the first look at a study reads all of it
        first: list[float] = []
        await _client(port, path, 0.0, first, errors)
        cold_s += first
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for path in fronts:
            group.create_task(_client(port, path, until, latencies_s["GET front"], errors))
        group.create_task(_client(port, "/healthz", until, latencies_s["GET /healthz"], errors))
    print(json.dumps({"latencies_s": latencies_s, "cold_s": cold_s, "n_errors": len(errors), "seconds": seconds}))
    for error in errors[:5]:
        print(error, file=sys.stderr)


async def _client(port: int, path: str, until: float, latencies_s: list[float], errors: list[str]) -> None:
    """One connection that is kept: asks, reads the whole answer, pauses."""
    rng = np.random.default_rng()
    await asyncio.sleep(rng.uniform(0, PAUSE_S[1]))  # not all at once
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    while time.monotonic() < until or not latencies_s:
        started = time.perf_counter()
        writer.write(request)
        status, content = await _answer(reader)
        latencies_s.append(time.perf_counter() - started)
        if status != 200 or not content.startswith(b"{"):
            errors.append(f"{path}: {status} {content[:100]!r}")
        await asyncio.sleep(rng.uniform(*PAUSE_S))
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length:"))
    return int(head.split(" ", 2)[1]), await reader.readexactly(length)


if __name__ == "__main__":
    main()
