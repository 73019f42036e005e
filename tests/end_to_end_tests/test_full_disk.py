"""An export that the disk does not take: one error, and nothing left that could be taken for a model."""

from __future__ import annotations

import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

# The merge has 809,048 bytes.
ROOM = 300_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def assert_told(message: str, reason: str) -> None:
    assert "Traceback" not in message
    assert re.search(
        rf"^Error: The merged model must be written to .*, but cannot be: .*{reason}", message, re.MULTILINE
    )
    assert len(message.strip().splitlines()) <= 3


def test_full_disk(run_command: Run, ray_study: str, small_disk: Path) -> None:
    done = run_command("export", ray_study, "--to", small_disk / "merge")
    assert done.returncode == 1
    assert_told(done.stderr, "No space left on device")
    assert list(small_disk.iterdir()) == []


def test_largest_file(
    in_process_study: str, start_command: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    export = start_command("export", in_process_study, "--to", exports / "merge")
    resource.prlimit(export.pid, resource.RLIMIT_FSIZE, (ROOM, ROOM))
    assert export.wait(timeout=60) == 1
    assert_told((tmp_path / "stderr").read_text(), "File too large")
    assert list(exports.iterdir()) == []
