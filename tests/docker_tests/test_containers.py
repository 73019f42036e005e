"""What a container does by its first argument, and how its health is told."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.docker_tests.docker_files import SCRIPTS

Run = Callable[..., subprocess.CompletedProcess[str]]
# Writes how it was called, and what it knows of the secrets; as `ray`, it is then lost as often as it is started.
RECORDER = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
echo "token=${PARETOMERGE_TOKEN-} password=${PGPASSWORD-}" >>"$CALLS"
"""
# As the service: goes on until its node was started twice.
SERVE = """
while [ "$(grep -c '^ray start' "$CALLS")" -lt 2 ]; do :; done
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def run(tmp_path: Path, calls: Path) -> Run:
    """Runs a script with `ray` and `paretomerge` that write down how they are called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, more in (("ray", ""), ("paretomerge", SERVE)):
        (programs / name).write_text(RECORDER + more)
        (programs / name).chmod(0o755)

    def start(script: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        calls.write_text("")
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls), "PARETOMERGE_REJOIN_S": "0"}
        environment |= {name: str(value) for name, value in variables.items()}
        command = ["/bin/sh", str(SCRIPTS / script), *arguments]
        # To files: a pipe would be read for as long as what the script leaves in the background holds its other end.
        with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
            done = subprocess.run(command, env=environment, stdout=stdout, stderr=stderr, timeout=60, check=False)
        written = ((tmp_path / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(command, done.returncode, *written)

    return start


def lines(calls: Path) -> list[str]:
    return calls.read_text().splitlines()


def test_head_has_no_cores_and_no_dashboard(run: Run, calls: Path) -> None:
    assert run("entrypoint.sh", "ray-head", PARETOMERGE_RAY_ADDRESS="ray-head:7000").returncode == 0
    assert lines(calls)[0] == (
        "ray start --block --disable-usage-stats --object-store-memory 104857600 "
        "--head --port 7000 --num-cpus 0 --num-gpus 0 --include-dashboard false"
    )


def test_worker_joins_the_head_with_the_cores_it_is_given(run: Run, calls: Path) -> None:
    assert run("entrypoint.sh", "ray-worker", "--num-cpus", "3").returncode == 0
    assert lines(calls)[0].endswith("--address ray-head:6379 --num-cpus 3")


def test_service_joins_by_a_node_without_cores_again_and_again(run: Run, calls: Path) -> None:
    done = run("entrypoint.sh", "serve", "--port", "1", PARETOMERGE_RAY_ADDRESS="head:1", PARETOMERGE_TOKEN="t")
    assert done.returncode == 0
    assert "paretomerge serve --ray-address head:1 --port 1" in lines(calls)
    nodes = [line for line in lines(calls) if line.startswith("ray start")]
    assert len(nodes) >= 2
    assert {line.partition("--address ")[2] for line in nodes} == {"head:1 --num-cpus 0 --num-gpus 0"}


def test_token_is_the_services_alone(run: Run, calls: Path) -> None:
    run("entrypoint.sh", "serve", PARETOMERGE_TOKEN="t", PGPASSWORD="p")
    found = lines(calls)
    knows = {found[n].split()[0]: found[n + 1] for n in range(0, len(found) - 1, 2)}
    assert knows == {"paretomerge": "token=t password=p", "ray": "token= password=p"}


def test_container_without_arguments_serves(run: Run, calls: Path) -> None:
    run("entrypoint.sh")
    assert "paretomerge serve --ray-address ray-head:6379" in lines(calls)


def test_anything_else_is_a_command(run: Run) -> None:
    assert run("entrypoint.sh", "echo", "a  b").stdout == "a  b\n"


def test_secrets_are_read_from_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one two\n")
    (tmp_path / "password").write_text("p$w")
    files = {"PARETOMERGE_TOKEN_FILE": "token", "PARETOMERGE_DATABASE_PASSWORD_FILE": "password"}
    variables = {name: tmp_path / file for name, file in files.items()}
    done = run("entrypoint.sh", "sh", "-c", 'echo "$PARETOMERGE_TOKEN,$PGPASSWORD"', **variables)
    assert done.stdout == "one two,p$w\n"


@pytest.mark.parametrize("content", [None, ""])
def test_missing_or_empty_secret_stops_the_container(
    run: Run, calls: Path, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    done = run("entrypoint.sh", "serve", PARETOMERGE_TOKEN_FILE=tmp_path / "token")
    assert done.returncode == 2
    assert "The file for `PARETOMERGE_TOKEN` must be readable by user" in done.stderr
    assert lines(calls) == []


# ---- healthcheck.sh ----


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def health_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "is_healthy"), [(200, True), (503, False)])
def test_service_is_healthy_as_it_says(
    run: Run, health_port: int, monkeypatch: pytest.MonkeyPatch, status: int, is_healthy: bool
) -> None:
    monkeypatch.setattr(_Health, "status", status)
    done = run("healthcheck.sh", "service", PARETOMERGE_HEALTH_PORT=health_port)
    assert (done.returncode == 0) == is_healthy


def test_service_that_is_not_there_is_not_healthy(run: Run) -> None:
    assert run("healthcheck.sh", PARETOMERGE_HEALTH_PORT=1).returncode != 0


def test_head_is_asked_where_it_is(run: Run, calls: Path) -> None:
    """By its own address: the cluster's name for it may lead to it only once it is healthy."""
    assert run("healthcheck.sh", "ray-head", PARETOMERGE_RAY_ADDRESS="elsewhere:7000").returncode == 0
    here = subprocess.run(["hostname", "-i"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert lines(calls)[0] == f"ray health-check --address {here}:7000"


def test_unknown_role_is_refused(run: Run) -> None:
    done = run("healthcheck.sh", "driver")
    assert done.returncode == 2
    assert "The role must be service, ray-head or ray-worker, but is 'driver'." in done.stderr
