"""Searches on Ray whose driver or worker is interrupted or killed: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

Trials = Callable[[str], list[tuple[Any, ...]]]
SearchUntil = Callable[..., tuple[subprocess.Popen[bytes], str]]
ProcessesOf = Callable[[subprocess.Popen[bytes]], list[psutil.Process]]

pytestmark = pytest.mark.faults

N_EVALUATIONS = 40
ON_RAY = {"search": {"evaluations": N_EVALUATIONS}, "workers": {"pool": "ray", "count": 2}}


def finished(trials: list[tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    return {number: (params, values) for number, state, params, values in trials if state == "COMPLETE"}


def assert_whole(trials: list[tuple[Any, ...]]) -> None:
    assert [number for number, *_ in trials] == list(range(N_EVALUATIONS))
    assert {state for _, state, *_ in trials} == {"COMPLETE"}
    assert {(len(params), len(values)) for *_, params, values in trials} == {(12, 2)}


def workers_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.name().startswith("ray::WorkerShel")]


def test_ctrl_c(
    tmp_path: Path,
    search_until: SearchUntil,
    searched: Callable[..., str],
    trials_of: Trials,
    processes_of: ProcessesOf,
    eventually: Callable[..., None],
) -> None:
    search, study = search_until("12/40", **ON_RAY)
    assert len(workers_of(processes_of(search))) == 2
    os.killpg(search.pid, signal.SIGINT)  # a terminal interrupts the whole group
    time.sleep(0.3)  # and the impatient press it again
    os.killpg(search.pid, signal.SIGINT)
    assert search.wait(timeout=60) == 130
    message, table = (tmp_path / "stderr").read_text(), (tmp_path / "stdout").read_text()
    before = finished(trials_of(study))
    assert f"Stopped at {len(before)} of {N_EVALUATIONS} evaluations" in message
    assert "the same command goes on from here" in message
    assert "Traceback" not in message
    assert "selected" in table
    eventually(lambda: not processes_of(search), timeout_s=20)
    searched(tmp_path, name=study, **ON_RAY)
    after = trials_of(study)
    assert_whole(after)
    assert before.items() <= finished(after).items()


def test_killed_driver(
    tmp_path: Path,
    search_until: SearchUntil,
    searched: Callable[..., str],
    trials_of: Trials,
    processes_of: ProcessesOf,
    eventually: Callable[..., None],
) -> None:
    search, study = search_until("16/40", **ON_RAY)
    search.send_signal(signal.SIGKILL)
    assert search.wait() == -signal.SIGKILL
    before = finished(trials_of(study))
    assert 16 <= len(before) < N_EVALUATIONS
    searched(tmp_path, name=study, **ON_RAY)
    after = trials_of(study)
    assert_whole(after)
    assert before.items() <= finished(after).items()
    # Ray's own agents take a minute to notice.
    eventually(lambda: not workers_of(processes_of(search)), timeout_s=30)


def test_killed_worker(tmp_path: Path, search_until: SearchUntil, trials_of: Trials, processes_of: ProcessesOf) -> None:
    search, study = search_until("8/40", **ON_RAY)
    workers_of(processes_of(search))[0].kill()
    assert search.wait(timeout=120) == 0
    assert "failed" not in (tmp_path / "stderr").read_text()
    assert_whole(trials_of(study))
