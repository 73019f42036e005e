"""Racing, by the commands alone: what is stopped, what is said of it, and what is left as it was."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Trials = Callable[[str], list[tuple[Any, ...]]]
SearchUntil = Callable[..., tuple[subprocess.Popen[bytes], str]]

SEARCH = {"evaluations": 40, "sampler": "random", "racing": True}


@pytest.fixture(scope="module")
def raced(
    tmp_path_factory: pytest.TempPathFactory, run_command: Run, write_specification: Callable[..., Path]
) -> tuple[str, str]:
    """The study of a search that raced, and what it printed."""
    specification = write_specification(tmp_path_factory.mktemp("raced"), search=SEARCH)
    done = run_command("search", specification)
    assert done.returncode == 0, done.stderr
    return specification.stem, done.stdout


@pytest.fixture(scope="module")
def front(run_command: Run, raced: tuple[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_command("front", raced[0], "--json").stdout)
    return found


def test_what_was_saved_is_said(run_command: Run, raced: tuple[str, str], front: dict[str, Any]) -> None:
    study, printed = raced
    said = (
        f"Racing stopped {front['raced']} of 40 candidates early and saved "
        f"{front['saved_evaluations']:.1f} evaluation-equivalents."
    )
    assert said in printed.splitlines()
    assert said in run_command("front", study).stdout.splitlines()
    assert 5 < front["raced"] < 34
    assert 1 / 2 * front["raced"] <= front["saved_evaluations"] <= 7 / 8 * front["raced"]


def test_the_front_is_that_of_a_search_without(
    tmp_path: Path,
    searched: Callable[..., str],
    run_command: Run,
    trials_of: Trials,
    raced: tuple[str, str],
    front: dict[str, Any],
) -> None:
    study = searched(tmp_path, search={**SEARCH, "racing": False})
    whole = json.loads(run_command("front", study, "--json").stdout)
    assert (whole["raced"], whole["saved_evaluations"]) == (0, 0.0)
    assert [trial["trial"] for trial in front["front"]] == [trial["trial"] for trial in whole["front"]]
    for one, other in zip(front["front"], whole["front"], strict=True):
        assert one["values"] == pytest.approx(other["values"], abs=1e-5)
    assert front["hypervolume"] == pytest.approx(whole["hypervolume"], abs=1e-5)
    assert front["landmarks"] == whole["landmarks"]
    assert [params for _, _, params, _ in trials_of(study)] == [params for _, _, params, _ in trials_of(raced[0])]


def stopped_trial(run_command: Run, study: str) -> str:
    """One that cannot be compared, for it was stopped."""
    for number in range(6, 40):
        if run_command("compare", study, str(number), "0", "--json").returncode:
            return str(number)
    raise AssertionError("none was stopped")


def test_a_stopped_trial_is_neither_compared_nor_exported(
    run_command: Run, raced: tuple[str, str], tmp_path: Path
) -> None:
    number = stopped_trial(run_command, raced[0])
    compared = run_command("compare", raced[0], "0", number)
    assert compared.returncode == 2
    assert re.search(
        rf"racing stopped trial {number} after \d+% of them, and its values are estimates", compared.stderr
    )
    exported = run_command("export", raced[0], "--to", tmp_path / "merge", "--trial", number)
    assert exported.returncode == 2
    assert f"racing stopped trial {number} after " in exported.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.faults
def test_killed_and_continued(
    tmp_path: Path, searched: Callable[..., str], search_until: SearchUntil, trials_of: Trials, raced: tuple[str, str]
) -> None:
    search, study = search_until("20/40", search=SEARCH)
    search.send_signal(signal.SIGKILL)
    search.wait()
    assert len(trials_of(study)) < 40
    searched(tmp_path, name=study, search=SEARCH)
    assert trials_of(study) == trials_of(raced[0])


def test_on_ray(tmp_path: Path, searched: Callable[..., str], run_command: Run) -> None:
    study = searched(tmp_path, search={**SEARCH, "evaluations": 24}, workers={"pool": "ray", "count": 2})
    found = json.loads(run_command("front", study, "--json").stdout)
    assert found["finished"] == 24
    assert found["failed"] == 0
    assert found["raced"] > 0
