"""Over how many GPUs a candidate must be spread, and whether that can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.costs.worker_memory import MemoryOfWorkers, WorkerMemory

# Of one node; beyond it vLLM's processes would be on several.
_MAX_GPUS = 64


@dataclass(frozen=True, slots=True)
class GpuFit:
    """What a worker takes.

    Args:
        n_gpus: the fewest that hold a candidate; where none do, those that lack least.
        memory: of the worker with these.
        fits: whether they hold it.
    """

    n_gpus: int
    memory: WorkerMemory
    fits: bool


def fit_gpus(of: MemoryOfWorkers) -> GpuFit:
    """The fewest GPUs: one with transformers; with vLLM as many as divide the attention heads."""
    sizes = (1,) if of.planned.engine == "transformers" else tuple(tensor_parallel_sizes(of.header.config))
    found = [GpuFit(n, memory := of.on_gpus(n), memory.device_bytes <= of.planned.gpu_bytes) for n in sizes]
    return next((fit for fit in found if fit.fits), min(found, key=lambda fit: fit.memory.device_bytes))


def tensor_parallel_sizes(config: Mapping[str, Any]) -> Iterator[int]:
    """How many parts attention can be cut into: heads are divided, and key-value heads divided or repeated."""
    heads = _heads(config, "num_attention_heads", 1)
    kv_heads = _heads(config, "num_key_value_heads", heads)
    for n in range(1, min(heads, _MAX_GPUS) + 1):
        if heads % n == 0 and (kv_heads % n == 0 or n % kv_heads == 0):
            yield n


def _heads(config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name)
    return value if isinstance(value, int) and value > 0 else default
