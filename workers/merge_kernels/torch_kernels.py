"""The reference: plain torch, on any device and in any dtype, in blocks so that temporaries stay small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from workers.merge_kernels.masking import DropMask, MaskedMerge

# 1 Mi elements: 4 MiB of float32 per temporary. On a GPU larger blocks would pay; not run on one.
BLOCK = 1 << 20

# |sum of weights| below it counts as nothing contributed, as in mergekit.
_NOTHING = 1e-8


def combine_linearly(sources: Sequence[Tensor], scalars: Sequence[float], out: Tensor) -> None:
    """out = Σ scalars[i] · sources[i]; all of one shape."""
    for block, parts, _ in _blocks(sources, out):
        total = parts[0].float() * scalars[0]
        for part, scalar in zip(parts[1:], scalars[1:], strict=True):
            total.add_(part.float(), alpha=scalar)
        block.copy_(total)


def merge_masked(base: Tensor, experts: Sequence[Tensor], merge: MaskedMerge, out: Tensor) -> None:
    """out = base + Σ m_i · (expert_i - base), where m_i holds weight, masks, election and normalisation.

    It is computed as (1 - Σ m_i) · base + Σ m_i · expert_i: a lone expert of weight 1 comes out exactly.
    """
    for block, (base_part, *expert_parts), start in _blocks((base, *experts), out):
        reference = base_part.float()
        tuned = torch.stack([part.float() for part in expert_parts])  # n_experts x n
        factors = _factors(tuned - reference, merge, start)  # n_experts x n
        block.copy_((1 - factors.sum(0)) * reference + (factors * tuned).sum(0))


def _factors(deltas: Tensor, merge: MaskedMerge, start: int) -> Tensor:
    weights = deltas.new_tensor(merge.weights)[:, None]
    thresholds = deltas.new_tensor(merge.thresholds)[:, None]
    kept = torch.stack([_keep(drop, deltas.shape[1], start, deltas.device) for drop in merge.drops])
    kept *= deltas.abs() >= thresholds
    scale = deltas.new_tensor([1 / drop.density for drop in merge.drops])[:, None]
    contributions = kept * weights * scale * deltas
    if merge.elect_sign:
        positive = contributions.sum(0) >= 0
        kept = kept & torch.where(positive, contributions > 0, contributions < 0)
    if merge.normalize:
        # Without an election every expert counts, also where its element was dropped.
        total = (kept * weights).sum(0) if merge.elect_sign else weights.sum(0)
        scale = scale / torch.where(total.abs() < _NOTHING, torch.ones_like(total), total)
    return kept * weights * scale


def _keep(drop: DropMask, n: int, start: int, device: torch.device) -> Tensor:
    if drop.density >= 1:
        return torch.ones(n, dtype=torch.bool, device=device)
    index = torch.arange(start, start + n, dtype=torch.int64, device=device)
    return _hash(index, drop.key) < drop.limit


def _hash(index: Tensor, key: int) -> Tensor:
    """`lowbias32` of the index, twice with the key between; 32-bit arithmetic held in int64."""
    return _mix(_mix(index & 0xFFFFFFFF) ^ key)


def _mix(x: Tensor) -> Tensor:
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


def _blocks(sources: Sequence[Tensor], out: Tensor) -> Iterator[tuple[Tensor, list[Tensor], int]]:
    """Views of the flat tensors, block by block: (of out, of the sources, first index)."""
    flat_out = out.view(-1)
    flat = [source.reshape(-1).to(out.device) for source in sources]
    for start in range(0, flat_out.numel(), BLOCK):
        stop = start + BLOCK
        yield flat_out[start:stop], [source[start:stop] for source in flat], start
