"""Chooses the fused CPU loops where they apply, and plain torch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.merge_kernels import torch_kernels
from workers.merge_kernels.masking import MaskedMerge

# How each dtype travels to numba: see cpu_kernels.
_CARRIERS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16, torch.float16: torch.int16}


def combine_linearly(sources: Sequence[Tensor], scalars: Sequence[float], out: Tensor) -> None:
    """out = Σ scalars[i] · sources[i], in float32, rounded once.

    Args:
        sources: tensors of one shape.
        scalars: one per source.
        out: contiguous, of that shape; overwritten.
    """
    # The fused loop opens its sum with the first source and closes it with the last: of one alone it would take two.
    if len(sources) < 2 or not _fusible(sources, out):
        torch_kernels.combine_linearly(sources, scalars, out)
        return
    kernels = _cpu_kernels()
    kernels.combine(_flat(sources), np.asarray(scalars, np.float32), _flat([out])[0])


def merge_masked(base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, out: Tensor) -> None:
    """out = base + masked, elected, normalised task vectors: see `torch_kernels.merge_masked`.

    Args:
        base: the base model's tensor.
        experts: of the base's shape, in the order of `merge`'s entries.
        merge: the numbers.
        out: contiguous, of that shape; overwritten.
    """
    if not _fusible((base, *experts), out):
        torch_kernels.merge_masked(base, experts, merge, out)
        return
    kernels = _cpu_kernels()
    rescaling = [1 / drop.density for drop in merge.drops]
    numbers = np.asarray([merge.weights, merge.thresholds, rescaling], np.float32).T.copy()
    drops = np.asarray([(drop.key, drop.limit) for drop in merge.drops], np.uint64)
    flags = (merge.elect_sign, merge.normalize)
    kernels.merge_masked(_flat([base])[0], _flat(experts), numbers, drops, flags, _flat([out])[0])


def _fusible(sources: Sequence[Tensor], out: Tensor) -> bool:
    tensors = (*sources, out)
    one_dtype = len({source.dtype for source in sources}) == 1
    return one_dtype and all(t.device.type == "cpu" and t.is_contiguous() and t.dtype in _CARRIERS for t in tensors)


def _flat(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    return tuple(tensor.detach().view(-1).view(_CARRIERS[tensor.dtype]).numpy() for tensor in tensors)


def _cpu_kernels() -> Any:
    import numba

    from workers.merge_kernels import cpu_kernels

    # Inside a worker that shares the node, both libraries keep to the worker's share of the cores.
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    return cpu_kernels
