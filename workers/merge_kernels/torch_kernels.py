"""The reference: plain torch, on any device and in any dtype, in blocks so that temporaries stay small.

The operations and their order are mergekit's (0.1.5, which computes in float32), so that the bits are its as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from workers.merge_kernels.masking import DropMask, MaskedMerge, MaskedNorms, MaskedTaskVector, RankBand
from workers.merge_kernels.one_thread import one_thread

# 1 Mi elements: 4 MiB of float32 per temporary. On a GPU larger blocks would pay; not run on one.
BLOCK = 1 << 20

_ALL_BITS = 0xFFFFFFFF
# |sum of weights| below it counts as nothing contributed, as in mergekit.
_NOTHING = 1e-8


def average(sources: Sequence[Tensor], weights: Sequence[float], divisor: float | None, out: Tensor) -> None:
    """out = Σ weights[i] · sources[i] / divisor, each product added without a rounding of its own; all of one shape.

    Args:
        sources: tensors of one shape.
        weights: one per source.
        divisor: None leaves the sum as it is.
        out: contiguous, of that shape; overwritten.
    """
    for block, parts, _ in _blocks(sources, out):
        total = torch.zeros_like(parts[0], dtype=torch.float32)
        for part, weight in zip(parts, weights, strict=True):
            total.addcmul_(part.float(), total.new_tensor(weight))
        block.copy_(total if divisor is None else total / total.new_tensor(divisor))


def mix(sources: Sequence[Tensor], scalars: Sequence[float], out: Tensor) -> None:
    """out = Σ scalars[i] · sources[i], in order; all of one shape."""
    for block, parts, _ in _blocks(sources, out):
        total = parts[0].float() * _single(scalars[0])
        for part, scalar in zip(parts[1:], scalars[1:], strict=True):
            total += part.float() * _single(scalar)
        block.copy_(total)


def _single(value: float) -> float:
    """A number as float32 has it."""
    return float(torch.tensor(value, dtype=torch.float32))


def merge_masked(base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, out: Tensor) -> None:
    """out = base + scale · Σ wᵢ mᵢ ⊙ (expertᵢ - base) / divisor.

    Args:
        base: the base model's tensor.
        experts: of the base's shape, in the order of `merge`'s entries.
        merge: the numbers.
        out: contiguous, of that shape; overwritten.
    """
    bands = [elements_in(vector.band, out.device) for vector in merge.vectors]
    for block, (base_part, *expert_parts), start in _blocks((base, *experts), out):
        reference = base_part.float()
        parts = zip(expert_parts, merge.vectors, bands, strict=True)
        deltas = torch.stack([_weighted(part.float() - reference, vector, band, start) for part, vector, band in parts])
        weights = deltas.new_tensor([vector.weight for vector in merge.vectors])[:, None]
        block.copy_(reference + _consensus(deltas, weights, merge))


@one_thread()
def masked_norms(base: Tensor, expert: Tensor, vector: MaskedTaskVector) -> MaskedNorms:
    """The sum of magnitudes of a task vector, and of what its masks leave of it."""
    delta = expert.float().reshape(-1) - base.float().reshape(-1)
    kept = kept_elements(delta, vector, elements_in(vector.band, delta.device), 0)
    whole = float(delta.abs().sum())
    return MaskedNorms(whole, whole if kept is None else float((delta * kept).abs().sum()))


def _weighted(delta: Tensor, vector: MaskedTaskVector, band: Tensor | None, start: int) -> Tensor:
    kept = kept_elements(delta, vector, band, start)
    if kept is not None:
        delta = delta * kept
    if vector.rescaling != 1:
        delta = delta * _single(vector.rescaling)
    return delta * _single(vector.weight)


def _consensus(deltas: Tensor, weights: Tensor, merge: MaskedMerge) -> Tensor:
    """`n_experts x n` weighted task vectors as one, `n`."""
    if merge.elect_sign:
        elected = (in_order(deltas) >= 0).to(deltas.dtype) * 2 - 1
        agrees = deltas.sign() == elected
        total = in_order(deltas * agrees)
        divisor = in_order(weights * agrees)
        divisor = torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    else:
        total = in_order(deltas)
        divisor = in_order(weights)
        divisor = torch.where(divisor.abs() < _NOTHING, torch.ones_like(divisor), divisor)
    if merge.normalize:
        total = total / divisor
    return total * _single(merge.scale) if merge.scale != 1 else total


def in_order(stacked: Tensor) -> Tensor:
    """The sum over experts, the first ones first: of many, torch adds in another order."""
    total = stacked[0].clone()
    for part in stacked[1:]:
        total += part
    return total


def elements_in(band: RankBand, device: torch.device) -> Tensor | None:
    """Which elements of the whole tensor the band holds, a byte each; None where it holds all."""
    if band.order is None:
        return None
    order = band.order.view(-1)
    inside = torch.zeros(len(order), dtype=torch.bool, device=device)
    inside[order[band.first : max(band.first, band.last)].to(device).long()] = True
    return inside


def kept_elements(delta: Tensor, vector: MaskedTaskVector, band: Tensor | None, start: int) -> Tensor | None:
    """A mask of `n` elements; None where all are kept."""
    kept = None if band is None else band[start : start + len(delta)]
    if vector.drop.keeps_all:
        return kept
    drawn = _drawn(vector.drop, len(delta), start, delta.device)
    return drawn if kept is None else kept & drawn


def _drawn(drop: DropMask, n: int, start: int, device: torch.device) -> Tensor:
    index = torch.arange(start, start + n, dtype=torch.int64, device=device)
    hashes = _mix_bits((index * drop.step + drop.start) & _ALL_BITS)
    if drop.row_ranks is None:
        return hashes < drop.limit
    ranks = drop.row_ranks.view(-1)[start : start + n].to(device)
    return hashes < drop.limit + ranks.double() * drop.limit_step


def _mix_bits(x: Tensor) -> Tensor:
    """`lowbias32`; 32-bit arithmetic held in int64."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _ALL_BITS
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _ALL_BITS
    return x ^ (x >> 16)


def _blocks(sources: Sequence[Tensor], out: Tensor) -> Iterator[tuple[Tensor, list[Tensor], int]]:
    """Views of the flat tensors, block by block: (of out, of the sources, first index)."""
    flat_out = out.view(-1)
    flat = [source.reshape(-1).to(out.device) for source in sources]
    for start in range(0, flat_out.numel(), BLOCK):
        stop = start + BLOCK
        yield flat_out[start:stop], [source[start:stop] for source in flat], start
