"""How many workers a pool on Ray has, where they run, and what each of them occupies."""

from __future__ import annotations

from dataclasses import dataclass

from workers.worker_pools.ray_connection import is_cluster_elsewhere


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where workers run.

    Args:
        n_workers: how many; 0 for a pool that is resized later.
        address: of a running cluster, `local` for one of our own in this machine, or `connected` for the
            connection that this process has.
        cpus_per_worker: cores that each one occupies.
        gpus_per_worker: GPUs, or fractions of one; several are those of one node.
        timeout_s: a candidate that takes longer has failed; None waits for ever. The time in which a
            replaced worker loads its models is not counted.
        min_workers: so many have loaded their models when the pool is made, and the others join it later; None
            for one in a cluster elsewhere, whose nodes come and go, and for all of them in any other.
    """

    n_workers: int = 1
    address: str = "local"
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    timeout_s: float | None = None
    min_workers: int | None = None

    @property
    def n_at_start(self) -> int:
        """How many must have loaded their models when the pool is made."""
        default = 1 if is_cluster_elsewhere(self.address) else self.n_workers
        return min(self.n_workers, default if self.min_workers is None else self.min_workers)

    @property
    def needs_of_a_worker(self) -> str:
        """What a node must have free for a worker, for a person."""
        cpus, gpus = self.cpus_per_worker, self.gpus_per_worker
        found = f"{cpus:g} CPU{'' if cpus == 1 else 's'}"
        return f"{found} and {gpus:g} GPU{'' if gpus == 1 else 's'}" if gpus else found
