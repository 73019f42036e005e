"""Starts and ends the actors of workers; several GPUs are held together by a placement group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workers.worker_pools.ray_options import RayOptions
from workers.worker_pools.worker_shell import WorkerShell

_NODE_ID = "ray.io/node-id"


@dataclass(frozen=True, slots=True)
class WorkerActor:
    """An actor that runs, or waits for a place.

    Args:
        shell: its handle.
        place: a reference to its `WorkerPlace`, ready as soon as it has one.
        loaded: a reference that is ready once it has loaded.
        group: that holds what it occupies; None where the actor itself does.
    """

    shell: Any
    place: Any
    loaded: Any
    group: Any


class WorkerActors:
    """Of one pool.

    Args:
        ray: the module, connected.
        setup: a reference to the setup of every worker.
        options: of the pool.
    """

    def __init__(self, ray: Any, setup: Any, options: RayOptions) -> None:
        self._ray = ray
        self._setup = setup
        self._needs = {"CPU": options.cpus_per_worker, "GPU": options.gpus_per_worker}
        self._shell = ray.remote(WorkerShell)

    def start(self, left_out: Sequence[str]) -> WorkerActor:
        """Start one, which waits until a node has room for it.

        Args:
            left_out: ids of nodes where it must not be.
        """
        selector = {_NODE_ID: f"!in({','.join(left_out)})"} if left_out else None
        group = self._reserve(selector) if self._needs["GPU"] > 1 else None
        needs = {"num_cpus": self._needs["CPU"], "num_gpus": self._needs["GPU"], "max_restarts": 0}
        shell = self._shell.options(**needs, **_placement(group, selector)).remote()
        return WorkerActor(shell, shell.place.remote(), shell.load.remote(self._setup), group)

    def end(self, actor: WorkerActor) -> None:
        """End it, whatever it does and wherever it is, and free what it occupies."""
        self._ray.kill(actor.shell)  # it may only be out of reach, and would keep its cores
        if actor.group is not None:
            self._ray.util.remove_placement_group(actor.group)

    def _reserve(self, selector: dict[str, str] | None) -> Any:
        """All that a worker takes, on one node and at once: engines start processes of their own for its GPUs."""
        return self._ray.util.placement_group(
            [self._needs], strategy="STRICT_PACK", bundle_label_selector=[selector] if selector else None
        )


def _placement(group: Any, selector: dict[str, str] | None) -> dict[str, Any]:
    if group is None:
        return {"label_selector": selector} if selector else {}
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group)}
