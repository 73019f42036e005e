"""Optuna Dashboard over our studies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answer(url: str) -> bytes:
    # The dashboard looks at the header without asking whether it is there.
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200
        content: bytes = response.read()
        return content


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_dashboard(
    ray_study: str,
    start_command: Callable[..., subprocess.Popen[bytes]],
    eventually: Callable[..., None],
    port: int,
    tmp_path: Path,
) -> None:
    dashboard = start_command("dashboard", "--port", str(port))
    eventually(lambda: listens(port))
    studies = json.loads(answer(f"http://127.0.0.1:{port}/api/studies"))["study_summaries"]
    assert ray_study in [study["study_name"] for study in studies]
    assert b"<title>Optuna Dashboard</title>" in answer(f"http://127.0.0.1:{port}/")
    # At once, while the last answer's connection may still be open.
    os.killpg(dashboard.pid, signal.SIGINT)
    assert dashboard.wait(timeout=60) == 0
    assert "Traceback" not in (tmp_path / "stderr").read_text()
