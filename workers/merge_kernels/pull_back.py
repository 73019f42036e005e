"""From the gradient at a merged tensor to that of its numbers: inner products, in blocks, on any device.

Computed in float32, or in float64 where the gradient is float64; sums over blocks are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from workers.merge_kernels.dispatch import masked_slopes
from workers.merge_kernels.masking import MaskedMerge
from workers.merge_kernels.torch_kernels import elements_in, in_order, kept_elements

# 64 Ki elements: temporaries of 256 KiB stay in a core's cache. A GPU takes larger ones: each costs some launches.
_CPU_BLOCK, _GPU_BLOCK = 1 << 16, 1 << 22
# |sum of weights| below it counts as nothing contributed: see `torch_kernels`.
_NOTHING = 1e-8

# Of the gradient's block and those of the sources: what each number gains from them, a vector.
Slopes = Callable[[Tensor, list[Tensor], int], Tensor]


def summed(slopes: Slopes, gradient: Tensor, sources: Sequence[Tensor]) -> list[float]:
    """Σ over blocks of what `slopes` says of (the gradient's block, the sources' blocks, first index).

    Args:
        slopes: gives one number for each of the merge's, from blocks in the dtype of the computation.
        gradient: of a merged tensor.
        sources: of its shape.
    """
    total: Tensor | None = None
    for block, parts, start in _blocks(gradient, sources):
        found = slopes(block, parts, start).double()
        total = found if total is None else total.add_(found)
    return [] if total is None else [float(value) for value in total.tolist()]


def products(gradient: Tensor, sources: Sequence[Tensor]) -> list[float]:
    """⟨gradient, source⟩ of each source."""
    return summed(lambda block, parts, _: torch.stack([block @ part for part in parts]), gradient, sources) or (
        [0.0] * len(sources)
    )


def difference_products(gradient: Tensor, origin: Tensor, sources: Sequence[Tensor]) -> list[float]:
    """⟨gradient, source - origin⟩ of each source: no two large products that nearly cancel out."""

    def slopes(block: Tensor, parts: list[Tensor], _: int) -> Tensor:
        return torch.stack([block @ (part - parts[0]) for part in parts[1:]])

    return summed(slopes, gradient, (origin, *sources)) or [0.0] * len(sources)


def pull_back_masked(
    base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, gradient: Tensor
) -> tuple[list[float], float]:
    """d/d weight of every expert, and d/d scale, of `torch_kernels.merge_masked`.

    Masks, rescaling and the election are taken as given (straight through). A weight of 0 is taken as a very small
    one above it, so that an expert that has no part in the election yet has a gradient.

    Args:
        base: the base model's tensor.
        experts: of the base's shape, in the order of `merge`'s entries.
        merge: the numbers.
        gradient: at the merged tensor, of that shape; any dtype.
    """
    if merge.elect_sign or not all(vector.is_whole for vector in merge.vectors):
        fused = masked_slopes(base, experts, merge, gradient)
        if fused is not None:
            return _finished(fused, merge)
    bands = [elements_in(vector.band, gradient.device) for vector in merge.vectors]

    def of_block(block: Tensor, parts: list[Tensor], start: int) -> Tensor:
        deltas = []
        for part, vector, band in zip(parts[1:], merge.vectors, bands, strict=True):
            delta = part - parts[0]
            kept = kept_elements(delta, vector, band, start)
            deltas.append((delta if kept is None else delta * kept) * vector.rescaling)
        return _elected_slopes(block, torch.stack(deltas), merge) if merge.elect_sign else torch.stack(deltas) @ block

    return _finished(summed(of_block, gradient, (base, *experts)) or [0.0] * (len(experts) + 1), merge)


def normalized(slopes: Sequence[float], weights: Sequence[float]) -> list[float]:
    """d/d wᵢ of Σ wᵢ xᵢ / Σ wᵢ, from ⟨gradient, xᵢ⟩; where the weights cancel out, of Σ wᵢ xᵢ."""
    divisor = sum(weights)
    if abs(divisor) < _NOTHING:
        return list(slopes)
    mean = sum(weight * slope for weight, slope in zip(weights, slopes, strict=True)) / divisor
    return [(slope - mean) / divisor for slope in slopes]


def _finished(sums: Sequence[float], merge: MaskedMerge) -> tuple[list[float], float]:
    """From what the loops add up to d/d weights and d/d scale."""
    slopes, weights = sums[: len(merge.vectors)], [vector.weight for vector in merge.vectors]
    if merge.elect_sign:
        return [slope * merge.scale for slope in slopes], sums[-1]
    # All contribute: one divisor for all elements.
    divides = merge.normalize and abs(sum(weights)) >= _NOTHING
    by_scale = sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))
    by_weight = normalized(slopes, weights) if merge.normalize else slopes
    return [slope * merge.scale for slope in by_weight], by_scale / sum(weights) if divides else by_scale


def _elected_slopes(block: Tensor, deltas: Tensor, merge: MaskedMerge) -> Tensor:
    """Each element has its own contributors, and so its own divisor; the scale is left out."""
    weights = deltas.new_tensor([vector.weight for vector in merge.vectors])[:, None]
    weighted = deltas * weights
    elected = (in_order(weighted) >= 0).to(deltas.dtype) * 2 - 1
    signs = torch.where(weights == 0, deltas, weighted).sign()
    agreeing = deltas * (signs == elected)
    merged = in_order(agreeing * weights)
    if not merge.normalize:
        return torch.cat([agreeing @ block, (merged @ block)[None]])
    agrees = (signs == elected).to(deltas.dtype)
    divisor = in_order(agrees * weights)
    divides = divisor != 0
    divisor = torch.where(divides, divisor, 1)
    merged = merged / divisor
    by_weight = (agreeing - agrees * torch.where(divides, merged, 0)) @ (block / divisor)
    return torch.cat([by_weight, (merged @ block)[None]])


def _blocks(gradient: Tensor, sources: Sequence[Tensor]) -> Iterator[tuple[Tensor, list[Tensor], int]]:
    dtype = torch.float64 if gradient.dtype == torch.float64 else torch.float32
    flat, size = gradient.reshape(-1), _CPU_BLOCK if gradient.device.type == "cpu" else _GPU_BLOCK
    parts = [source.reshape(-1) for source in sources]
    for start in range(0, len(flat), size):
        part = slice(start, start + size)
        yield flat[part].to(dtype), [each[part].to(flat.device, dtype) for each in parts], start
