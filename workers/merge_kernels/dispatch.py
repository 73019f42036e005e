"""Chooses the fused CPU loops where they apply, and plain torch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.merge_kernels import torch_kernels
from workers.merge_kernels.masking import MaskedMerge, MaskedTaskVector

# How each dtype travels to numba: see cpu_kernels.
_CARRIERS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16, torch.float16: torch.int16}
# Stands for the ranks of an expert that has none: the loops take arrays only.
_NO_RANKS = np.zeros(0, np.int32)


def average(sources: Sequence[Tensor], weights: Sequence[float], divisor: float | None, out: Tensor) -> None:
    """out = Σ weights[i] · sources[i] / divisor, in float32, rounded once: see `torch_kernels.average`."""
    if not _fusible(sources, out):
        torch_kernels.average(sources, weights, divisor, out)
        return
    numbers = np.asarray(weights, np.float32)
    _cpu_kernels().average(_flat(sources), numbers, np.float32(divisor or 0), divisor is not None, _flat([out])[0])


def mix(sources: Sequence[Tensor], scalars: Sequence[float], out: Tensor) -> None:
    """out = Σ scalars[i] · sources[i], in float32, rounded once: see `torch_kernels.mix`."""
    # The fused loop opens its sum with the first source and closes it with the last: of one alone it would take two.
    if len(sources) < 2 or not _fusible(sources, out):
        torch_kernels.mix(sources, scalars, out)
        return
    _cpu_kernels().mix(_flat(sources), np.asarray(scalars, np.float32), _flat([out])[0])


def merge_masked(base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, out: Tensor) -> None:
    """out = base + masked, elected, normalised task vectors: see `torch_kernels.merge_masked`."""
    if not _fusible((base, *experts), out):
        torch_kernels.merge_masked(base, experts, merge, out)
        return
    kernels = _cpu_kernels()
    weights = np.asarray([vector.weight for vector in merge.vectors], np.float32)
    if all(vector.is_whole and vector.rescaling == 1 for vector in merge.vectors) and not merge.elect_sign:
        divisor = _divisor(weights) if merge.normalize else np.float32(1)
        kernels.add_deltas(_flat([base])[0], _flat(experts), weights, divisor, np.float32(merge.scale), _flat([out])[0])
        return
    masks, bands, rows = zip(*(_masks(vector) for vector in merge.vectors), strict=True)
    rescaling = np.asarray([vector.rescaling for vector in merge.vectors], np.float32)
    kernels.merge_masked(
        _flat([base])[0],
        _flat(experts),
        np.stack([weights, rescaling], axis=1),
        np.asarray(masks, np.float64),
        bands,
        rows,
        (merge.elect_sign, merge.normalize, np.float32(merge.scale), _divisor(weights)),
        _flat([out])[0],
    )


def masked_norms(base: Tensor, expert: Tensor, vector: MaskedTaskVector) -> tuple[float, float]:
    """The sum of magnitudes of a task vector, and of what its masks leave of it."""
    # Random masks are equal to mergekit's in distribution only; what is not random is summed as torch sums.
    if vector.drop.keeps_all or not _fusible((base, expert), base):
        return torch_kernels.masked_norms(base, expert, vector)
    mask, band, rows = _masks(vector)
    found = _cpu_kernels().masked_norms(_flat([base])[0], _flat([expert])[0], np.asarray(mask, np.float64), band, rows)
    return float(found[0]), float(found[1])


def _masks(vector: MaskedTaskVector) -> tuple[tuple[float, ...], Any, Any]:
    """An expert's masks as the loops take them: threshold, band (first, last), drop (key, limit, step); their ranks.

    Whole numbers below 2**53 are exact in float64.
    """
    band, drop = vector.band, vector.drop
    first, last = (0, -1) if band.is_open else (band.first, band.last)
    key, limit = (0, -1) if drop.keeps_all else (drop.key, drop.limit)
    numbers = (vector.threshold, first, last, key, limit, drop.limit_step)
    return numbers, _ranks(band.ranks), _ranks(None if drop.keeps_all else drop.row_ranks)


def _ranks(ranks: Tensor | None) -> Any:
    return _NO_RANKS if ranks is None else ranks.view(-1).numpy()


def _divisor(weights: Any) -> Any:
    """Of a sum without an election: as in mergekit, in float32, and 1 where the weights cancel out."""
    total = np.float32(0)
    for weight in weights:
        total = np.float32(total + weight)
    return total if abs(total) >= np.float32(1e-8) else np.float32(1)


def _fusible(sources: Sequence[Tensor], out: Tensor) -> bool:
    tensors = (*sources, out)
    one_dtype = len({source.dtype for source in sources}) == 1
    return one_dtype and all(t.device.type == "cpu" and t.is_contiguous() and t.dtype in _CARRIERS for t in tensors)


def _flat(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    return tuple(tensor.detach().view(-1).view(_CARRIERS[tensor.dtype]).numpy() for tensor in tensors)


def _cpu_kernels() -> Any:
    import numba

    from workers.merge_kernels import cpu_kernels

    # Inside a worker that shares the node, both libraries keep to the worker's share of the cores. The first call
    # starts numba's threads, which lets OpenMP forget how many torch was given.
    n_threads = torch.get_num_threads()
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(n_threads)
    return cpu_kernels
