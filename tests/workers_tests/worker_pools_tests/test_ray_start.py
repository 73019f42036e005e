"""How a pool on Ray starts, and what it leaves behind."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import PoolError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import WorkerSetup
from workers.evaluation import Assignment
from workers.worker_pools import CONNECTED, RayOptions, RayPool

MakeRecipe = Callable[..., MergeRecipe]


def gone(process_ids: list[int]) -> bool:
    """Whether the processes end within some seconds."""
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, process_ids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, process_ids))


def test_workers_that_cannot_start_are_told_with_the_reason(setup: WorkerSetup, tmp_path: Path) -> None:
    bad = replace(setup, models={**setup.models, BASE: str(tmp_path / "nowhere")})
    with pytest.raises(PoolError, match=r"1 workers must start, but one did not: .*nowhere' is not there"):
        RayPool(bad, RayOptions(n_workers=1))


def test_a_pool_leaves_no_process_behind(setup: WorkerSetup, make_recipe: MakeRecipe) -> None:
    assignment = Assignment(make_recipe("task_arithmetic", weight=0.4), ("refusal_margin",))
    children = psutil.Process().children(recursive=True)
    with RayPool(setup, RayOptions(n_workers=1)) as pool:
        workers = pool.process_ids()
        with pytest.raises(PoolError, match="another pool holds it"):
            RayPool(setup, RayOptions(n_workers=1))
        assert pool.evaluate(assignment).succeeded
        pool.submit(1, assignment)  # under way when the pool is closed
    assert gone(workers)
    started = [child.pid for child in psutil.Process().children(recursive=True) if child not in children]
    assert gone(started)


def test_a_connection_must_be_there_to_be_used(setup: WorkerSetup) -> None:
    with pytest.raises(PoolError, match="must be connected to Ray for its connection to be used"):
        RayPool(setup, RayOptions(address=CONNECTED))


def test_a_cluster_that_is_not_there_is_told_at_once(setup: WorkerSetup) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(PoolError, match=rf"must answer at '{address}' \(`workers.address`\)"):
            RayPool(setup, RayOptions(address=address))
