"""A pool over several nodes, which come, go, and lack things: real ones of Ray, each with a loopback address."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from search_spaces import MergeRecipe
from workers.candidate_worker import WorkerSetup
from workers.checkpoints import read_header
from workers.checkpoints.content_digest import content_digest
from workers.checkpoints.model_roots import ROOTS_VARIABLE
from workers.evaluation import Assignment, Evaluation
from workers.worker_pools import RayOptions, RayPool, ray_pool
from workers.worker_pools.worker_shell import WorkerPlace

MakeRecipe = Callable[..., MergeRecipe]


@dataclass
class Nodes:
    """A cluster whose head has no cores.

    Args:
        cluster: of Ray.
        by_name: those that live.
        n_started: of all.
    """

    cluster: Any
    by_name: dict[str, Any] = field(default_factory=dict)
    n_started: int = 0

    def add(self, name: str, **options: Any) -> None:
        self.n_started += 1
        # Not 127.0.0.1, for which Ray takes the machine's address in the network.
        options |= {"node_ip_address": f"127.0.0.{2 + self.n_started}", "object_store_memory": 80 << 20}
        self.by_name[name] = self.cluster.add_node(num_cpus=1, **options)

    def lose(self, name: str) -> None:
        self.cluster.remove_node(self.by_name.pop(name))

    def name_of(self, place: WorkerPlace) -> str:
        return next(name for name, node in self.by_name.items() if node.node_id == place.node)


@pytest.fixture(scope="module")
def roots(family: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two nodes' folders of models; the second has another base."""
    found = {name: tmp_path_factory.mktemp(name) for name in ("first", "second")}
    for root in found.values():
        for model in ("base", "aligned", "expert"):
            shutil.copytree(family / model, root / "family" / model)
    weights = found["second"] / "family" / "base" / "model.safetensors"
    tensors = load_file(weights)
    next(iter(tensors.values()))[0, 0] += 1.0  # what samples of the file would not see
    save_file(tensors, weights, {"format": "pt"})
    return found


@pytest.fixture(scope="module")
def nodes(roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """With two nodes of a core and a GPU each, which start where the project is not to be found."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.delenv("PYTHONPATH", raising=False)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        head = {"node_ip_address": "127.0.0.2", "num_cpus": 0, "object_store_memory": 80 << 20}
        cluster = Cluster(initialize_head=True, head_node_args=head | {"include_dashboard": False})
        try:
            nodes = Nodes(cluster)
            for name, root in roots.items():
                nodes.add(name, num_gpus=1, env_vars={ROOTS_VARIABLE: str(root)})
            yield nodes
        finally:
            cluster.shutdown()


@pytest.fixture
def options(nodes: Nodes) -> RayOptions:
    return RayOptions(address=nodes.cluster.address)


def idle_setup() -> Any:
    """Of workers that load nothing, and are busy while the file that they are given is there; as values of this module,
    which no node has."""

    class Idle:
        def __init__(self, setup: Any) -> None:
            pass

        def evaluate(self, task: Any) -> Evaluation:
            while task.exists():
                time.sleep(0.02)
            return Evaluation(answers=(os.environ.get("CUDA_VISIBLE_DEVICES", ""),))

    class IdleSetup:
        worker_class = Idle

    return IdleSetup()


def until(pool: RayPool, condition: Callable[[], bool]) -> None:
    """Look after a pool until something holds."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        pool.next_finished(timeout_s=0.1)
        time.sleep(0.05)


def test_a_node_with_other_files_is_left_out_and_the_rest_goes_on(
    nodes: Nodes,
    options: RayOptions,
    setup: WorkerSetup,
    family: Path,
    make_recipe: MakeRecipe,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Their code comes along; models are found below the roots of each node, for they have none of these paths."""
    models = {name: f"/not/here/family/{name}" for name in setup.models}
    digests = {name: content_digest(read_header(family / name)) for name in models}
    with RayPool(replace(setup, models=models, digests=digests), replace(options, n_workers=2)) as pool:
        until(pool, lambda: "No worker is put on the node" in caplog.text and pool.n_alive == 1)
        assert nodes.name_of(pool.places()[0]) == "first"
        code = pool._idle[0].actor.shell.__ray_call__.remote(lambda _: __import__("workers").__file__)
        assert "py_modules_files" in pool._ray.get(code)
        assert pool.evaluate(Assignment(make_recipe("task_arithmetic", weight=0.4), ("refusal_margin",))).succeeded
    (told,) = (record.getMessage() for record in caplog.records if record.name == ray_pool.__name__)
    assert told.startswith("No worker is put on the node 127.0.0.4 ")
    assert "must have the search's files of the model 'base', but those in '/" in told
    assert f"the search's {digests['base'][:12]}" in told


def test_two_gpus_are_those_of_one_node_and_free_when_their_worker_goes(
    nodes: Nodes, options: RayOptions, tmp_path: Path
) -> None:
    with RayPool(idle_setup(), replace(options, gpus_per_worker=2, min_workers=0)) as pool:
        pool.next_finished(timeout_s=1)
        assert pool.n_alive == 0  # each of two nodes has one
        nodes.add("third", num_gpus=2)
        until(pool, lambda: pool.n_alive == 1)
        assert pool.evaluate(tmp_path / "free").answers == ("0,1",)  # type: ignore[arg-type]
        os.kill(pool.process_ids()[0], signal.SIGKILL)
        assert pool.evaluate(tmp_path / "free").answers == ("0,1",)  # type: ignore[arg-type]
        assert states_of_groups(pool) == ["CREATED", "REMOVED"]
        pool.resize(0)
        until(pool, lambda: states_of_groups(pool) == ["REMOVED", "REMOVED"])


def states_of_groups(pool: RayPool) -> list[str]:
    return sorted(group["state"] for group in pool._ray.util.placement_group_table().values())


def test_nodes_may_be_lost_under_their_candidates_and_others_join(
    nodes: Nodes, options: RayOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray_pool, "MAX_ATTEMPTS", 1)  # a loss that was the candidate's fault would be its last
    held = tmp_path / "held"
    held.touch()
    with RayPool(idle_setup(), replace(options, n_workers=2, min_workers=2)) as pool:
        homes = [nodes.name_of(place) for place in pool.places()]
        for ticket in range(2):
            pool.submit(ticket, held)  # type: ignore[arg-type]
        spare = (nodes.by_name.keys() - set(homes)).pop()
        nodes.lose(homes[0])
        until(pool, lambda: pool.n_alive == 2)  # the candidate has begun anew, on the spare node
        for name in (spare, homes[1]):
            nodes.lose(name)
        until(pool, lambda: pool.n_alive == 0)
        assert pool.n_under_way == 2
        assert "0 of 2 workers are there, waiting for a node that has 1 CPU free: 2." in caplog.text
        held.unlink()
        nodes.add("fourth")
        finished = [pool.next_finished(), pool.next_finished()]
    assert sorted(found[0] for found in finished if found and found[1].succeeded) == [0, 1]
