"""What is known of a machine's speed: measured on a sample of the model, or given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.costs.bandwidths import Bandwidths
from service.costs.planned_workers import PlannedWorkers
from workers.checkpoints import CheckpointHeader

if TYPE_CHECKING:
    from workers.merge_sample import MergeRate
    from workers.merge_traffic import MergeTraffic


@dataclass(frozen=True, slots=True)
class Speeds:
    """How fast candidates are made.

    Args:
        bandwidths: given ones first, then measured ones.
        rate: of a CPU, measured; None where nothing was.
        traffic: of a GPU, counted; None where candidates live on CPUs.
    """

    bandwidths: Bandwidths = field(default_factory=Bandwidths)
    rate: MergeRate | None = None
    traffic: MergeTraffic | None = None


def measure_speeds(header: CheckpointHeader, planned: PlannedWorkers, dtype: str, given: Bandwidths) -> Speeds:
    """Measure what the plan needs and nobody gave.

    Args:
        header: of the model.
        planned: the workers.
        dtype: of candidates.
        given: bandwidths of another machine.
    """
    import torch

    from workers.merge_sample import SampledMerge, measure_merging
    from workers.merge_traffic import count_traffic

    if planned.gpu_gib is not None:
        source_bytes = max(tensor.size_bytes // max(1, tensor.n_elements) for tensor in header.weights.values())
        traffic = count_traffic(planned.method, planned.n_experts, source_bytes, dtype)
        return Speeds(given.or_else(_of_this_gpu()), traffic=traffic)
    before = torch.get_num_threads()
    torch.set_num_threads(planned.n_threads)
    try:
        rate = measure_merging(SampledMerge(header, planned.method, planned.n_experts, dtype))
    finally:
        torch.set_num_threads(before)
    return Speeds(given.or_else(Bandwidths(memory=rate.memory, disk=rate.disk)), rate)


def _of_this_gpu() -> Bandwidths:
    """Nothing where there is none: then another machine is meant, whose numbers must be given."""
    import torch

    from workers.device_bandwidths import device_gb_s, link_gb_s
    from workers.merge_sample import memory_gb_s

    if not torch.cuda.is_available():
        return Bandwidths()
    return Bandwidths(memory=memory_gb_s(), device=device_gb_s(), link=link_gb_s())
