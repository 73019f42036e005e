"""The plan of a search over models of a shape: all that can be said without their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from search_spaces import SearchSpace, SpaceOptions
from search_spaces.merge_recipe import BASE
from service.costs.candidate_time import CandidateTime, TimeOfCandidates
from service.costs.gpu_fit import GpuFit, fit_gpus
from service.costs.planned_workers import PlannedWorkers
from service.costs.speeds import Speeds
from service.costs.worker_memory import MemoryOfWorkers, WorkerMemory
from workers.checkpoints import CheckpointHeader
from workers.merge_memory import RankingPlace

# Those that need no number.
_GRANULARITIES = ("model", "layer", "module", "tensor")


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """The figures of `paretomerge plan --config`.

    Args:
        architecture: of the models.
        n_parameters: of one of them.
        planned: the workers.
        dtype: of candidates.
        dimensions: granularity → groups and numbers of a trial.
        checkpoint_bytes: of all models on disk, whose pages a node's workers share.
        memory: of each worker.
        gpus: of each worker; None on CPUs.
        node_bytes: of main memory: its workers' own and the pages that they share, if all are to stay there.
        reads_disk: a node's memory is known, and does not hold those pages.
        time: of a candidate.
        first_s: what the first one takes besides, to sort; None where it was not measured.
        slowdown: seconds of the sample by the clock for each that its threads had a core: above 1 where others are at
            work here; None where nothing was measured.
    """

    architecture: str
    n_parameters: int
    planned: PlannedWorkers
    dtype: str
    dimensions: Mapping[str, tuple[int, int]]
    checkpoint_bytes: int
    memory: WorkerMemory
    gpus: GpuFit | None
    node_bytes: int
    reads_disk: bool
    time: CandidateTime
    first_s: float | None
    slowdown: float | None = None

    @property
    def fits(self) -> bool:
        """Whether workers have the memory that they need; pages that do not stay there only cost time."""
        node = self.planned.node_bytes
        on_node = node is None or self.planned.count * self.memory.host_bytes <= node
        return on_node and (self.gpus is None or self.gpus.fits)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        found = asdict(self)
        found["time"] |= {"make_s": self.time.make_s, "waits_for": self.time.waits_for}
        found["dimensions"] = {
            name: {"groups": groups, "dimensions": dims} for name, (groups, dims) in self.dimensions.items()
        }
        return found | {"fits": self.fits}


def plan_model(header: CheckpointHeader, planned: PlannedWorkers, speeds: Speeds) -> ModelPlan:
    """Work out the figures.

    Args:
        header: of a model, see `header_of_config`; base and experts have its shape.
        planned: the workers.
        speeds: what is known of the machine; nothing leaves the times open.

    Raises:
        SpecificationError: an unknown granularity, or a method in which nothing can be searched.
        RecipeError: the method does not take so many experts.
    """
    dtype = candidate_dtype(planned, header)
    of = MemoryOfWorkers(header, planned, dtype)
    gpus = None if planned.gpu_gib is None else fit_gpus(of)
    memory = of.on_cpu() if gpus is None else gpus.memory
    pages = header.size_bytes * (1 + planned.n_experts)
    pages += memory.kept.ranking_bytes if memory.kept.rankings is RankingPlace.FILES else 0
    node_bytes = pages + planned.count * memory.host_bytes
    reads_disk = planned.node_bytes is not None and node_bytes > planned.node_bytes
    n_elements = sum(header.tensors[name].n_elements for name in header.merged_names)
    return ModelPlan(
        architecture=header.architecture,
        n_parameters=header.n_parameters,
        planned=planned,
        dtype=dtype,
        dimensions={name: _dimensions(header, planned, name) for name in (*_GRANULARITIES, planned.granularity)},
        checkpoint_bytes=header.size_bytes * (1 + planned.n_experts),
        memory=memory,
        gpus=gpus,
        node_bytes=node_bytes,
        reads_disk=reads_disk,
        time=TimeOfCandidates(planned, memory, n_elements, speeds, gpus.n_gpus if gpus else 1, reads_disk).time(),
        first_s=_sorting_s(planned, n_elements, speeds),
        slowdown=_slowdown(planned, speeds),
    )


def candidate_dtype(planned: PlannedWorkers, header: CheckpointHeader) -> str:
    """As a search has it: float32 on a CPU where nobody says otherwise, on a GPU the checkpoint's own."""
    if planned.dtype != "auto":
        return planned.dtype
    given = str(header.config.get("dtype") or "bfloat16")
    return "float32" if planned.gpu_gib is None else given if given in ("float32", "float16") else "bfloat16"


def _dimensions(header: CheckpointHeader, planned: PlannedWorkers, granularity: str) -> tuple[int, int]:
    options = SpaceOptions(planned.method, granularity)
    space = SearchSpace(BASE, dict.fromkeys(planned.experts, ""), header.merged_names, options)
    return len(space.groups), space.n_dims


def _sorting_s(planned: PlannedWorkers, n_elements: int, speeds: Speeds) -> float | None:
    if planned.signature.ranking is None:
        return 0.0
    if speeds.rate is None:
        return None
    return speeds.rate.rank_s * n_elements * planned.n_experts


def _slowdown(planned: PlannedWorkers, speeds: Speeds) -> float | None:
    return None if speeds.rate is None else speeds.rate.make_s * planned.n_threads / speeds.rate.cpu_s


def resident_gib(plan: ModelPlan) -> int:
    """`workers.cache_gib` that keeps sources on the device, and rankings where they are kept in memory."""
    kept = plan.memory.kept
    rankings = kept.ranking_bytes if kept.rankings is RankingPlace.MEMORY else 0
    return ceil((kept.source_bytes + rankings) / 2**30)
