"""Whether a Ray cluster is there, told in no time; Ray itself would wait for it, and end the process after a minute."""

from __future__ import annotations

import socket

# In which a living process accepts a connection, also under load.
_ANSWER_S = 5.0


class ClusterProbe:
    """Of the cluster to which this process is connected."""

    def __init__(self) -> None:
        import ray

        context = ray.get_runtime_context()
        host, _, port = context.gcs_address.rpartition(":")
        node = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
        self._addresses = ((host, int(port)), (node["NodeManagerAddress"], node["NodeManagerPort"]))

    def answers(self) -> bool:
        """Whether the head and this node's own daemon accept connections."""
        return all(map(_accepts, self._addresses))


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=_ANSWER_S).close()
    except OSError:
        return False
    return True
