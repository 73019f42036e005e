"""Seconds to make a candidate: what must be moved or worked out, over how fast that goes; the slowest counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces import MethodSignature
from service.costs.planned_workers import PlannedWorkers
from service.costs.speeds import Speeds
from service.costs.worker_memory import WorkerMemory
from workers.merge_memory import RankingPlace, SourcePlace

# Assumed: a launch of an operation, Python's and torch's share included. On a GPU all are launched by one thread.
_LAUNCH_S = 1e-5


@dataclass(frozen=True, slots=True)
class CandidateTime:
    """Seconds of one candidate, all of whose numbers differ from those of the one before.

    Args:
        parts: what goes on at the same time → seconds of it alone.
        missing: bandwidths that must be measured or given before it can be said.
    """

    parts: Mapping[str, float]
    missing: tuple[str, ...] = ()

    @property
    def make_s(self) -> float | None:
        """The slowest of its parts."""
        return None if self.missing or not self.parts else max(self.parts.values())

    @property
    def waits_for(self) -> str | None:
        """The name of the slowest."""
        return None if self.make_s is None else max(self.parts, key=lambda name: self.parts[name])


@dataclass(frozen=True, slots=True)
class TimeOfCandidates:
    """Works it out.

    Args:
        planned: the workers.
        memory: of one.
        n_elements: of a candidate.
        speeds: what is known of the machine.
        n_gpus: of each worker; with vLLM each of them merges the whole model.
        reads_disk: the page cache does not hold what is read.
    """

    planned: PlannedWorkers
    memory: WorkerMemory
    n_elements: int
    speeds: Speeds
    n_gpus: int = 1
    reads_disk: bool = False

    def time(self) -> CandidateTime:
        """Of a candidate after the first."""
        on_gpu = self.planned.gpu_gib is not None
        found = {**(self._on_gpu() if on_gpu else self._on_cpu()), **self._from_disk()}
        missing = tuple(dict.fromkeys(name.partition(":")[0] for name, value in found.items() if value is None))
        return CandidateTime({name: value for name, value in found.items() if value is not None}, missing)

    def _on_cpu(self) -> dict[str, float | None]:
        """The method's own loops, as measured; but all workers together cannot have more than the memory gives."""
        rate, bandwidths = self.speeds.rate, self.speeds.bandwidths
        if rate is None:
            return {"merging": None}
        memory = bandwidths.memory or rate.memory
        moved = self.memory.kept.source_bytes + self.memory.candidate_bytes
        # On another machine: as many times what its memory needs as here.
        merging_s = rate.make_s * self.n_elements * rate.memory / memory
        return {"merging": merging_s, "memory": self.planned.count * moved / memory / 1e9}

    def _on_gpu(self) -> dict[str, float | None]:
        traffic, bandwidths = self.speeds.traffic, self.speeds.bandwidths
        if traffic is None:
            return {"device": None}
        launches_s = self.n_elements * traffic.n_operations * _LAUNCH_S
        device_s = bandwidths.seconds("device", self.n_elements * traffic.n_bytes)
        if self.memory.kept.sources is SourcePlace.RESIDENT:
            return {"device": device_s, "launches": launches_s, "link": self._rankings_s()}
        source_bytes = self.memory.kept.source_bytes
        # Each tensor is read where it is mapped and written to a buffer, by the thread that also launches.
        staged_s = bandwidths.seconds("memory", 2 * source_bytes * self.planned.count * self.n_gpus)
        link_s, rankings_s = bandwidths.seconds("link", source_bytes), self._rankings_s()
        return {
            "device": device_s,
            "memory": None if staged_s is None else staged_s + launches_s,
            "link": None if link_s is None or rankings_s is None else link_s + rankings_s,
        }

    def _rankings_s(self) -> float | None:
        """Rankings in main memory: what a density keeps of them goes to the device for each candidate."""
        kept = self.memory.kept
        on_device = kept.sources is SourcePlace.RESIDENT and kept.rankings is RankingPlace.MEMORY
        if kept.rankings is RankingPlace.NONE or on_device:
            return 0.0
        return self.speeds.bandwidths.seconds("link", kept.ranking_bytes * middle_density(self.planned.signature))

    def _from_disk(self) -> dict[str, float | None]:
        if not self.reads_disk:
            return {}
        return {"disk": self.speeds.bandwidths.seconds("disk", self.memory.kept.source_bytes)}


def middle_density(signature: MethodSignature) -> float:
    """Of the usual bounds; 1 where nothing is trimmed."""
    bounds = [parameter.usual_bounds for parameter in signature.parameters if parameter.name == "density"]
    return sum(bounds[0]) / 2 if bounds else 1.0
