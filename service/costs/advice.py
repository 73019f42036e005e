"""What does not fit, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from service.costs.gpu_fit import GpuFit, fit_gpus
from service.costs.model_plan import ModelPlan, resident_gib
from service.costs.worker_memory import MemoryOfWorkers
from workers.checkpoints import CheckpointHeader
from workers.merge_memory import RankingPlace, SourcePlace

_GIB = 2**30
# Threads also wait for each other.
_BUSY = 1.5


def advice(plan: ModelPlan, header: CheckpointHeader) -> list[str]:
    """One sentence for each thing that does not fit.

    Args:
        plan: what was planned.
        header: what it was planned for.
    """
    return [*_of_gpus(plan, header), *_of_sources(plan), *_of_rankings(plan), *_of_node(plan), *_of_times(plan)]


def _of_gpus(plan: ModelPlan, header: CheckpointHeader) -> Iterator[str]:
    if plan.gpus is None or plan.gpus.fits:
        return
    planned, needed = plan.planned, _gib(plan.memory.device_bytes)
    if planned.engine == "vllm":
        yield (
            f"{plan.gpus.n_gpus} GPUs of {planned.gpu_gib:g} GiB are not enough: vLLM's share of 70 % and what merging "
            f"needs beside it make {needed} GiB of each. Take larger GPUs, 16-bit candidates, or a method that sorts "
            "nothing."
        )
        return
    found = _with_vllm(plan, header)
    split = f"`workers.engine: vllm` with `tensor_parallel: {found.n_gpus}`" if found.fits else "larger GPUs"
    yield (
        f"A candidate takes {needed} GiB of one GPU, which has {planned.gpu_gib:g}. The engine transformers does not "
        f"split a model: take {split}, or a smaller `workers.max_batch_tokens`."
    )


def _with_vllm(plan: ModelPlan, header: CheckpointHeader) -> GpuFit:
    return fit_gpus(MemoryOfWorkers(header, replace(plan.planned, engine="vllm"), plan.dtype))


def _of_sources(plan: ModelPlan) -> Iterator[str]:
    # With vLLM they always are; and what does not fit at all has no place for them.
    is_streamed = plan.memory.kept.sources is SourcePlace.STREAMED
    if not is_streamed or plan.planned.engine == "vllm" or (plan.gpus and not plan.gpus.fits):
        return
    yield (
        f"The sources are copied to the GPU for each candidate: to stay there they need {resident_gib(plan)} GiB of it "
        "beside a candidate (`workers.cache_gib`). A larger GPU, fewer experts or a smaller batch may give them that."
    )


def _of_rankings(plan: ModelPlan) -> Iterator[str]:
    kept = plan.memory.kept
    if kept.rankings is RankingPlace.FILES:
        yield (
            f"The rankings, {_gib(kept.ranking_bytes)} GiB, are files of the node, sorted once; "
            f"`PARETOMERGE_CACHE_DIR` must have room for them."
        )


def _of_node(plan: ModelPlan) -> Iterator[str]:
    node, own = plan.planned.node_bytes, plan.planned.count * plan.memory.host_bytes
    if node is None:
        return
    if own > node:
        yield (
            f"{plan.planned.count} worker{'s'[: plan.planned.count - 1]} of a node need {_gib(own)} GiB, which has "
            f"{_gib(node)}: take fewer workers, 16-bit candidates (`workers.dtype`), or a larger node."
        )
    elif plan.reads_disk:
        yield (
            f"The node's {_gib(node)} GiB do not hold {_gib(plan.node_bytes)} GiB of workers and pages: each candidate "
            "reads from the disk. Take fewer experts, or a larger node."
        )


def _of_times(plan: ModelPlan) -> Iterator[str]:
    if plan.time.missing and "merging" not in plan.time.missing:
        wanted = ",".join(f"{name}=GB/s" for name in plan.time.missing)
        yield f"The seconds of a candidate need bandwidths that this machine does not show: `--bandwidth {wanted}`."
    if plan.slowdown is not None and plan.slowdown > _BUSY:
        yield (
            f"This machine is busy: the sample waited for cores, and took {plan.slowdown:.1f} times as long as they "
            "worked at it. Plan again when it is idle, or with fewer `--cpus`."
        )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f}"
