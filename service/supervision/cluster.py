"""The supervisor's connection to Ray: what the cluster has, and the drivers in it."""

from __future__ import annotations

from typing import Any

from service.supervision.cluster_probe import ClusterProbe
from service.supervision.driver_actor import DriverActor
from service.supervision.fair_shares import Resources
from workers.worker_pools.ray_connection import WORKERS_CODE, connect_to_ray, disconnect_from_ray, last_line


class Cluster:
    """A Ray cluster; one connection in its life.

    Args:
        address: of a running cluster, or `local` for one of our own in this machine.
        n_cpus: of a cluster of our own; None takes the machine's.
        namespace: of the drivers.

    Raises:
        PoolError: no cluster answers or starts.
    """

    def __init__(self, address: str, n_cpus: int | None, namespace: str) -> None:
        self._address = address
        self._namespace = namespace
        # Drivers as well run on any node.
        self._ray = connect_to_ray(address, n_cpus, namespace, code=(*WORKERS_CODE, "service"))
        self._probe = ClusterProbe()

    def answers(self) -> bool:
        """Whether it is still there."""
        return self._probe.answers()

    def nodes(self) -> list[Resources]:
        """What its living nodes have."""
        return [
            Resources(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
            for node in self._ray.nodes()
            if node["Alive"]
        ]

    def start(self, name: str, kind: type[DriverActor], *arguments: Any) -> RunningDriver:
        """Start a driver, which outlives this connection.

        Args:
            name: that no driver had before.
            kind: of the driver.
            arguments: its own.
        """
        actor = self._ray.remote(kind).options(
            name=name,
            namespace=self._namespace,
            lifetime="detached",
            num_cpus=0,
            max_restarts=0,
            max_concurrency=2,  # one call waits for its end
        )
        return RunningDriver(self._ray, actor.remote(*arguments))

    def find(self, name: str) -> RunningDriver | None:
        """A driver that an earlier supervisor started; None when it is gone."""
        try:
            return RunningDriver(self._ray, self._ray.get_actor(name, self._namespace))
        except ValueError:
            return None

    def driver_names(self) -> list[str]:
        """Of all drivers that live."""
        names: list[str] = self._ray.util.list_named_actors()
        return names

    def close(self) -> None:
        """End the connection; a cluster of our own ends with it."""
        disconnect_from_ray(self._address)


class RunningDriver:
    """A driver as the supervisor sees it.

    Args:
        ray: the module.
        actor: its handle.
    """

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor
        self._end = actor.join.remote()

    def has_ended(self) -> bool:
        """Whether it has done its work, or died."""
        return bool(self._ray.wait([self._end], timeout=0)[0])

    def cause_of_death(self) -> str:
        """Why it died; "" if it has done its work."""
        try:
            self._ray.get(self._end)
        except self._ray.exceptions.RayTaskError as error:
            return f"{type(error.cause).__name__}: {last_line(error.cause)}"
        except self._ray.exceptions.RayError as error:
            return _exit_detail(str(error))
        return ""

    def bury(self) -> None:
        """Remove it from the cluster, whatever is left of it."""
        self._ray.kill(self._actor)


def _exit_detail(message: str) -> str:
    """Of Ray's many words the sentence that says what happened."""
    _, found, detail = message.partition("Worker exit detail: ")
    return detail.partition(". ")[0] if found else message.strip().splitlines()[0]
