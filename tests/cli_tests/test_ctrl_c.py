"""Ctrl-C before a command has anything to show for it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.conftest import COMMAND


def test_it_is_said(tmp_path: Path, command_environment: dict[str, str]) -> None:
    specification = tmp_path / "search.yaml"
    os.mkfifo(specification)
    command: list[str | Path] = [COMMAND, "search", specification]
    with subprocess.Popen(command, env=command_environment, stderr=subprocess.PIPE, text=True) as search:
        with open(specification, "w"):  # as soon as the command reads it
            search.send_signal(signal.SIGINT)
            _, told = search.communicate(timeout=60)
        assert (search.returncode, told) == (130, "Stopped.\n")
