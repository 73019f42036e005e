"""A search is decided by its seed: run again, or killed and continued, it is the same."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Search = dict[str, Any]
Trials = Callable[[str], list[tuple[Any, ...]]]
SearchUntil = Callable[..., tuple[subprocess.Popen[bytes], str]]


def test_same_seed_gives_the_same_trials(
    tmp_path: Path, searched: Callable[..., str], trials_of: Trials, in_process_study: str, in_process_search: Search
) -> None:
    assert trials_of(searched(tmp_path, search=in_process_search)) == trials_of(in_process_study)


@pytest.mark.faults
def test_killed_and_continued(
    tmp_path: Path,
    searched: Callable[..., str],
    search_until: SearchUntil,
    trials_of: Trials,
    in_process_study: str,
    in_process_search: Search,
) -> None:
    search, study = search_until("16/20", search=in_process_search)
    search.send_signal(signal.SIGKILL)
    assert search.wait() == -signal.SIGKILL
    undisturbed = trials_of(in_process_study)
    assert 16 <= len(trials_of(study)) < len(undisturbed)
    searched(tmp_path, name=study, search=in_process_search)
    assert trials_of(study) == undisturbed
