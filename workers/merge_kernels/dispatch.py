"""Chooses the fused CPU loops where they apply, and plain torch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.merge_kernels import torch_kernels
from workers.merge_kernels.block_sizes import BLOCK, MASK_BLOCK, RUN
from workers.merge_kernels.block_threads import for_blocks
from workers.merge_kernels.masking import DropMask, MaskedMerge, MaskedNorms, MaskedTaskVector, RankBand

# How each dtype travels to numba: see cpu_kernels.
_CARRIERS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16, torch.float16: torch.int16}
_EVERY_BIT = 2**32 - 1
# One block of a mask, for all blocks.
_ALL_KEPT = np.full(RUN, _EVERY_BIT, np.uint32)
# Of a hash: 32 bits.
_ALL_HASHES = 2**32


def average(sources: Sequence[Tensor], weights: Sequence[float], divisor: float | None, out: Tensor) -> None:
    """out = Σ weights[i] · sources[i] / divisor, in float32, rounded once: see `torch_kernels.average`."""
    # As in `mix`: of one source alone the fused loop would take two.
    if len(sources) < 2 or not _fusible(sources, out):
        torch_kernels.average(sources, weights, divisor, out)
        return
    from workers.merge_kernels import cpu_kernels

    like, target = _flat(sources[0]), _flat(out)
    numbers = (np.asarray(weights, np.float32), np.float32(1 if divisor is None else divisor))
    _over(cpu_kernels.average, (_places(sources), like, numbers, target), len(target))


def mix(sources: Sequence[Tensor], scalars: Sequence[float], out: Tensor) -> None:
    """out = Σ scalars[i] · sources[i], in float32, rounded once: see `torch_kernels.mix`."""
    # The fused loop opens its sum with the first source and closes it with the last: of one alone it would take two.
    if len(sources) < 2 or not _fusible(sources, out):
        torch_kernels.mix(sources, scalars, out)
        return
    from workers.merge_kernels import cpu_kernels

    like, target = _flat(sources[0]), _flat(out)
    _over(cpu_kernels.mix, (_places(sources), like, np.asarray(scalars, np.float32), target), len(target))


def merge_masked(base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, out: Tensor) -> None:
    """out = base + masked, elected, normalised task vectors: see `torch_kernels.merge_masked`."""
    if not _fusible((base, *experts), out):
        torch_kernels.merge_masked(base, experts, merge, out)
        return
    reference, target = _flat(base), _flat(out)
    rule = weighing, _, _, scale, divisor = _rule(merge)
    if all(vector.is_whole and vector.rescaling == 1 for vector in merge.vectors) and not merge.elect_sign:
        from workers.merge_kernels import cpu_kernels

        numbers = (weighing[:, 0].copy(), divisor, scale)
        _over(cpu_kernels.add_deltas, (reference, _places(experts), numbers, target), len(target))
        return
    from workers.merge_kernels import mask_kernels

    loop = mask_kernels.merge_masked_pair if len(experts) == 2 else mask_kernels.merge_masked
    masks = _masks(reference, experts, merge)
    _over(loop, (reference, _places(experts), _packed(masks), rule, target), len(target), MASK_BLOCK)


def masked_slopes(
    base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, gradient: Tensor
) -> tuple[float, ...] | None:
    """See `slope_kernels.masked_slopes`: each expert's and the scale's; None where the fused loop does not apply."""
    if not _fusible((base, *experts), base) or gradient.dtype == torch.float64 or gradient.device.type != "cpu":
        return None
    from workers.merge_kernels import slope_kernels

    reference, slope = _flat(base), _flat(gradient.float().contiguous())
    masks, n = _masks(reference, experts, merge), len(reference)
    sums = np.zeros((-(-n // BLOCK), len(experts) + 1), np.float64)
    arguments = (reference, _places(experts), _packed(masks), _rule(merge), (slope, sums))
    _over(slope_kernels.masked_slopes, arguments, n)
    return tuple(float(value) for value in sums.sum(axis=0))


def masked_norms(base: Tensor, expert: Tensor, vector: MaskedTaskVector) -> MaskedNorms:
    """The sum of magnitudes of a task vector, and of what its masks leave of it; see `MaskedNorms`."""
    # Random masks are equal to mergekit's in distribution only; what is not random is summed as torch sums.
    if vector.drop.keeps_all or not _fusible((base, expert), base):
        return torch_kernels.masked_norms(base, expert, vector)
    from workers.merge_kernels import mask_kernels

    reference, mine, drop = _flat(base), _flat(expert), vector.drop
    n, n_blocks = len(reference), _n_mask_blocks(len(reference))
    sums = np.empty((n_blocks, 2), np.float64)
    if vector.band.is_open and drop.row_ranks is None and drop.limit < _ALL_HASHES:
        kept = np.empty(n_blocks * RUN, np.uint32)
        draw = (_walk(drop), np.uint32(drop.limit))
        _over(mask_kernels.drop_measured, (reference, mine, draw, kept, sums), n, MASK_BLOCK)
    else:
        kept = _draw(reference, expert, vector)
        _over(mask_kernels.norms, (reference, mine, kept, sums), n, MASK_BLOCK)
    whole, left = sums.sum(axis=0).tolist()
    return MaskedNorms(whole, left, kept)


# ---- as the loops take it -------------------------------------------------------------------------


def _rule(merge: MaskedMerge) -> tuple[Any, ...]:
    weighing = np.asarray([(vector.weight, vector.rescaling) for vector in merge.vectors], np.float32)
    divisor = _divisor(weighing[:, 0]) if merge.normalize else np.float32(1)
    return weighing, merge.elect_sign, merge.normalize, np.float32(merge.scale), divisor


def _masks(base: Any, experts: Sequence[Tensor], merge: MaskedMerge) -> list[Any]:
    """What is kept of each expert; see `block_sizes`."""
    return [_mask(base, expert, vector) for expert, vector in zip(experts, merge.vectors, strict=True)]


def _mask(base: Any, expert: Tensor, vector: MaskedTaskVector) -> Any:
    if vector.is_whole:
        return _ALL_KEPT
    return _draw(base, expert, vector) if vector.kept is None else vector.kept


def _packed(masks: Sequence[Any]) -> tuple[Any, ...]:
    """The masks' addresses, and their words from one block to the next; the masks must outlive the call."""
    steps = np.asarray([0 if mask is _ALL_KEPT else RUN for mask in masks], np.int64)
    return np.asarray([mask.ctypes.data for mask in masks], np.uint64), steps, _ALL_KEPT


def _draw(base: Any, expert: Tensor, vector: MaskedTaskVector) -> Any:
    """What an expert's masks keep: its band, and what of that is not dropped."""
    from workers.merge_kernels import mask_kernels

    bits, drop = _band(base, expert, vector.band), vector.drop
    if not drop.keeps_all and (drop.limit < _ALL_HASHES or drop.limit_step > 0):
        if drop.row_ranks is None:
            _over(mask_kernels.drop, (_walk(drop), np.uint32(drop.limit), bits), len(base), MASK_BLOCK)
        else:
            limits, ranks = (float(drop.limit), drop.limit_step), drop.row_ranks.view(-1).numpy()
            _over(mask_kernels.drop_by_rank, (_walk(drop), limits, ranks, bits), len(base), MASK_BLOCK)
    return bits


def _walk(drop: DropMask) -> tuple[Any, Any]:
    return np.uint32(drop.start), np.uint32(drop.step)


def _band(base: Any, expert: Tensor, band: RankBand) -> Any:
    if band.order is None:
        return np.full(_n_mask_blocks(len(base)) * RUN, _EVERY_BIT, np.uint32)
    bits = np.zeros(_n_mask_blocks(len(base)) * RUN, np.uint32)
    if band.last > band.first:
        from workers.merge_kernels import mask_kernels

        mine, order = _flat(expert), band.order.view(-1).numpy()
        low, high, runs = mask_kernels.band_edges(base, mine, order, band.first, band.last)
        mask_kernels.set_bits(order, runs[0], runs[1], bits)
        mask_kernels.set_bits(order, runs[2], runs[3], bits)
        edges = (np.float32(low), np.float32(high))
        _over(mask_kernels.keep_band, (base, mine, edges, bits), len(base), MASK_BLOCK)
    return bits


def _n_mask_blocks(n: int) -> int:
    return -(-n // MASK_BLOCK)


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


def _flat(tensor: Tensor) -> Any:
    return tensor.detach().view(-1).view(_CARRIERS[tensor.dtype]).numpy()


def _places(tensors: Sequence[Tensor]) -> Any:
    """Where they lie; they must outlive the call."""
    return np.asarray([tensor.data_ptr() for tensor in tensors], np.uint64)


def _over(loop: Any, arguments: tuple[Any, ...], n: int, block: int = BLOCK) -> None:
    for_blocks(lambda blocks: loop(*arguments, blocks), n, block)
