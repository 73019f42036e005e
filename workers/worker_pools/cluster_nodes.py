"""The nodes of a cluster as a pool sees them: which live, which could hold a worker, and which are left out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

from workers.worker_pools.ray_options import RayOptions

# In which the daemon of a living node accepts a connection, also under load.
_ANSWER_S = 2.0
# A node that lacks something is tried again: a folder may have been mounted, or a GPU become free.
_LEFT_OUT_S = 600.0


class ClusterNodes:
    """Reads Ray's table of nodes anew whenever it is asked: nodes come and go.

    Args:
        ray: the module, connected.
        options: of the pool.
    """

    def __init__(self, ray: Any, options: RayOptions) -> None:
        self._ray = ray
        self._options = options
        self._left_out: dict[str, float] = {}  # node → until when
        self._proven: set[str] = set()

    def dead(self) -> frozenset[str]:
        """The nodes that the cluster has lost since it was made, as far as Ray remembers them."""
        return frozenset(node["NodeID"] for node in self._ray.nodes() if not node["Alive"])

    def lives(self, node_id: str) -> bool:
        """Whether a node is there: Ray takes some seconds to see that one has died, its own daemon is asked as well."""
        return any(node["NodeID"] == node_id and _accepts(node) for node in self._living())

    def name(self, node_id: str) -> str:
        """What a person calls a node."""
        found = (node for node in self._ray.nodes() if node["NodeID"] == node_id)
        return next((f"{node['NodeManagerAddress']} ({node_id[:8]})" for node in found), node_id[:8])

    def prove(self, node_id: str) -> None:
        """A worker has loaded there."""
        self._proven.add(node_id)

    def leave_out(self, node_id: str) -> None:
        """Put no worker there for some time."""
        self._left_out[node_id] = time.monotonic() + _LEFT_OUT_S

    @property
    def left_out(self) -> tuple[str, ...]:
        """Where no worker shall be put."""
        now = time.monotonic()
        return tuple(sorted(node_id for node_id, until in self._left_out.items() if now < until))

    @property
    def lacks_all(self) -> bool:
        """Whether no worker can be had: each node that could hold one is left out, and no better one was lost."""
        able = {node["NodeID"] for node in self._living() if self._could_hold(node)}
        was_lost = self._proven - {node["NodeID"] for node in self._living()}
        return bool(able) and able <= set(self.left_out) and not was_lost

    def _living(self) -> Iterator[dict[str, Any]]:
        return (node for node in self._ray.nodes() if node["Alive"])

    def _could_hold(self, node: dict[str, Any]) -> bool:
        """Whether it could, if it were empty."""
        there = node["Resources"]
        needs = {"CPU": self._options.cpus_per_worker, "GPU": self._options.gpus_per_worker}
        return all(there.get(unit, 0) >= needed for unit, needed in needs.items())


def _accepts(node: dict[str, Any]) -> bool:
    try:
        socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), timeout=_ANSWER_S).close()
    except OSError:
        return False
    return True
