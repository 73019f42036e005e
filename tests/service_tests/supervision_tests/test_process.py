"""The watch over the supervisor's process; what stands in for it here only reads until its pipe is closed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.settings import ServiceSettings
from service.supervision.process import SupervisorProcess


def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program, draft = tmp_path / "program", tmp_path / "draft"
    draft.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    draft.chmod(0o755)
    monkeypatch.setattr("service.supervision.process.sys.executable", str(program))
    deadline = time.monotonic() + 60
    settings = ServiceSettings("postgresql+psycopg://nobody@nowhere/none", tmp_path)
    with SupervisorProcess(settings) as process:
        while "It is tried again" not in caplog.text:
            assert time.monotonic() < deadline, "nothing was said"
            time.sleep(0.02)
        draft.rename(program)
        while process.pid is None:
            assert time.monotonic() < deadline, "nothing was started"
            time.sleep(0.02)
