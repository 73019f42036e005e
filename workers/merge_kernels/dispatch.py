"""Chooses the fused CPU loops where they apply, and plain torch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.merge_kernels import torch_kernels
from workers.merge_kernels.block_threads import for_blocks
from workers.merge_kernels.masking import MaskedMerge, MaskedTaskVector, RankBand

# How each dtype travels to numba: see cpu_kernels.
_CARRIERS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16, torch.float16: torch.int16}
# Stand for what an expert has none of: the loops take arrays only.
_NO_BITS, _NO_PLACES = np.zeros(0, np.uint8), np.zeros(0, np.int16)
# Of a hash: 32 bits.
_ALL_HASHES = 2**32


def average(sources: Sequence[Tensor], weights: Sequence[float], divisor: float | None, out: Tensor) -> None:
    """out = Σ weights[i] · sources[i] / divisor, in float32, rounded once: see `torch_kernels.average`."""
    # As in `mix`: of one source alone the fused loop would take two.
    if len(sources) < 2 or not _fusible(sources, out):
        torch_kernels.average(sources, weights, divisor, out)
        return
    from workers.merge_kernels import cpu_kernels

    flat, target = _flat(sources), _flat([out])[0]
    numbers = (np.asarray(weights, np.float32), np.float32(1 if divisor is None else divisor))
    _over(cpu_kernels.average, (_addresses(flat), flat[0], numbers, target), len(target))


def mix(sources: Sequence[Tensor], scalars: Sequence[float], out: Tensor) -> None:
    """out = Σ scalars[i] · sources[i], in float32, rounded once: see `torch_kernels.mix`."""
    # The fused loop opens its sum with the first source and closes it with the last: of one alone it would take two.
    if len(sources) < 2 or not _fusible(sources, out):
        torch_kernels.mix(sources, scalars, out)
        return
    from workers.merge_kernels import cpu_kernels

    flat, target = _flat(sources), _flat([out])[0]
    _over(cpu_kernels.mix, (_addresses(flat), flat[0], np.asarray(scalars, np.float32), target), len(target))


def merge_masked(base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, out: Tensor) -> None:
    """out = base + masked, elected, normalised task vectors: see `torch_kernels.merge_masked`."""
    if not _fusible((base, *experts), out):
        torch_kernels.merge_masked(base, experts, merge, out)
        return
    (reference, *flat), target = _flat((base, *experts)), _flat([out])[0]
    weights = np.asarray([vector.weight for vector in merge.vectors], np.float32)
    if all(vector.is_whole and vector.rescaling == 1 for vector in merge.vectors) and not merge.elect_sign:
        from workers.merge_kernels import cpu_kernels

        divisor = _divisor(weights) if merge.normalize else np.float32(1)
        numbers = (weights, divisor, np.float32(merge.scale))
        _over(cpu_kernels.add_deltas, (reference, _addresses(flat), numbers, target), len(target))
        return
    from workers.merge_kernels import mask_kernels

    masks = _masks(reference, flat, merge)
    arguments = (reference, _addresses(flat), _packed(masks), _rule(merge), target)
    _over(mask_kernels.merge_masked, arguments, len(target))


def masked_slopes(
    base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, gradient: Tensor
) -> tuple[float, ...] | None:
    """See `slope_kernels.masked_slopes`: each expert's and the scale's; None where the fused loop does not apply."""
    if not _fusible((base, *experts), base) or gradient.dtype == torch.float64 or gradient.device.type != "cpu":
        return None
    from workers.merge_kernels import cpu_kernels, slope_kernels

    (reference, *flat), slope = _flat((base, *experts)), _flat([gradient.float().contiguous()])[0]
    masks, n = _masks(reference, flat, merge), len(reference)
    sums = np.zeros((-(-n // cpu_kernels.BLOCK), len(flat) + 1), np.float64)
    arguments = (reference, _addresses(flat), _packed(masks), _rule(merge), (slope, sums))
    _over(slope_kernels.masked_slopes, arguments, n)
    return tuple(float(value) for value in sums.sum(axis=0))


def _masks(reference: Any, flat: Sequence[Any], merge: MaskedMerge) -> list[_Masks]:
    return [_Masks.of(reference, expert, vector) for expert, vector in zip(flat, merge.vectors, strict=True)]


def _packed(masks: Sequence[_Masks]) -> tuple[Any, ...]:
    """As the loops take them; the masks must outlive the call."""
    places = next((mask.rows for mask in masks if len(mask.rows)), _NO_PLACES)
    bits, rows = _addresses([mask.bits for mask in masks]), _addresses([mask.rows for mask in masks])
    return np.asarray([mask.numbers for mask in masks], np.float64), bits, rows, places


def _rule(merge: MaskedMerge) -> tuple[Any, ...]:
    weighing = np.asarray([(vector.weight, vector.rescaling) for vector in merge.vectors], np.float32)
    return weighing, merge.elect_sign, merge.normalize, np.float32(merge.scale), _divisor(weighing[:, 0])


def masked_norms(base: Tensor, expert: Tensor, vector: MaskedTaskVector) -> tuple[float, float]:
    """The sum of magnitudes of a task vector, and of what its masks leave of it."""
    # Random masks are equal to mergekit's in distribution only; what is not random is summed as torch sums.
    if vector.drop.keeps_all or not _fusible((base, expert), base):
        return torch_kernels.masked_norms(base, expert, vector)
    from workers.merge_kernels import cpu_kernels, mask_kernels

    reference, mine = _flat((base, expert))
    masks = _Masks.of(reference, mine, vector)
    n = len(reference)
    sums = np.zeros((-(-n // cpu_kernels.BLOCK), 2), np.float64)
    packed = (np.asarray(masks.numbers, np.float64), masks.bits, masks.rows)
    _over(mask_kernels.masked_norms, (reference, mine, packed, sums), n)
    return float(sums[:, 0].sum()), float(sums[:, 1].sum())


@dataclass(frozen=True, slots=True)
class _Masks:
    """An expert's masks as the loops take them; see `mask_kernels._mask_block`."""

    numbers: tuple[float, ...]
    bits: Any
    rows: Any

    @classmethod
    def of(cls, base: Any, expert: Any, vector: MaskedTaskVector) -> _Masks:
        """Whole numbers below 2**53 are exact in float64."""
        band, bits = _band(base, expert, vector.band)
        drop = vector.drop
        if drop.keeps_all or (drop.limit >= _ALL_HASHES and not drop.limit_step):
            return cls((*band, 0, 0, 0, 0), bits, _NO_PLACES)
        rows = _NO_PLACES if drop.row_ranks is None else drop.row_ranks.view(-1).numpy()
        return cls((*band, 1, drop.key, drop.limit, drop.limit_step), bits, rows)


def _band(base: Any, expert: Any, band: RankBand) -> tuple[tuple[float, float, float], Any]:
    """Whether there is a band, its low and its high; and the bits of ties that belong to it."""
    if band.order is None:
        return (0, 0, 0), _NO_BITS
    if band.last <= band.first:
        return (1, np.inf, np.inf), _NO_BITS
    from workers.merge_kernels import cpu_kernels, mask_kernels

    order = band.order.view(-1).numpy()
    low, high, runs = mask_kernels.band_edges(base, expert, order, band.first, band.last)
    if not runs.any():
        return (1, low, high), _NO_BITS
    bits = np.zeros(-(-len(order) // cpu_kernels.BLOCK) * cpu_kernels.BLOCK // 8, np.uint8)
    mask_kernels.set_bits(order, runs[0], runs[1], bits)
    mask_kernels.set_bits(order, runs[2], runs[3], bits)
    return (1, low, high), bits


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


def _addresses(arrays: Sequence[Any]) -> Any:
    """Where arrays lie, 0 for an empty one; they must outlive the call."""
    return np.asarray([array.ctypes.data if len(array) else 0 for array in arrays], np.uint64)


def _over(loop: Any, arguments: tuple[Any, ...], n: int) -> None:
    from workers.merge_kernels.cpu_kernels import BLOCK

    for_blocks(lambda blocks: loop(*arguments, blocks), n, BLOCK)
