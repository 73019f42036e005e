"""What a killed export has left goes with the next one of that name; what is being made stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.errors import ExportError
from service.exports.partial_folders import temporary_beside

MAKE = """
import sys, time
from pathlib import Path
from service.exports.partial_folders import temporary_beside
with temporary_beside(Path(sys.argv[1])) as folder:
    (folder / "model.safetensors").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def test_only_what_nobody_makes_is_removed(tmp_path: Path) -> None:
    final, other = tmp_path / "merge", tmp_path / ".another.partial-7"
    other.mkdir()
    with subprocess.Popen([sys.executable, "-c", MAKE, str(final)], stdout=subprocess.PIPE) as maker:
        assert maker.stdout
        assert maker.stdout.readline() == b"written\n"
        partial = tmp_path / f".merge.partial-{maker.pid}"
        with temporary_beside(final):
            assert (partial / "model.safetensors").exists()
        maker.send_signal(signal.SIGKILL)
    assert partial.exists()
    with temporary_beside(final) as folder:
        folder.rename(final)
    assert sorted(tmp_path.iterdir()) == [other, final]


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match=r"must be written to .*merge', but cannot be: full"),
        temporary_beside(tmp_path / "merge"),
    ):
        raise OSError("full")
    assert list(tmp_path.iterdir()) == []
