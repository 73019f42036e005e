"""Reinforced Agent Merging Plus, per tensor: strengthen unique changes by how much the experts share."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods._base import GroupParameters, SourceTensors
from workers.merge_methods.flat_blocks import flat_blocks
from workers.merge_methods.ram import Changes, Ram


class RamPlusTensorLocal(Ram):
    """RAM with an expert's unique changes multiplied by 1 + `r` · min(`alpha`, shared / unique), as counted in it.

    arXiv:2601.13572, as mergekit's `ramplus_tl` has it; the counts depend on the checkpoints and on `epsilon` alone.
    """

    signature = METHOD_SIGNATURES["ramplus_tl"]

    def gains(self, tensors: SourceTensors, parameters: GroupParameters) -> Tensor:
        """See `Ram.gains`."""
        r, cap, epsilon = (parameters.shared[name] for name in ("r", "alpha", "epsilon"))
        shared, unique = tensors.kept(("changes", epsilon), lambda: _counts(tensors, epsilon))
        ratio = shared / unique.clamp(min=epsilon)
        return (1 + r * ratio.clamp(min=0, max=cap)).unsqueeze(-1)


def _counts(tensors: SourceTensors, epsilon: float) -> tuple[Tensor, Tensor]:
    """How many elements each expert changed together with others, and alone; `n_experts` each."""
    shared = torch.zeros(len(tensors.experts), dtype=torch.int64, device=tensors.base.device)
    unique = torch.zeros_like(shared)
    every = (tensors.base, *tensors.experts)
    # Only the sources are looked at: the first serves as the place that blocks are cut from.
    for _, (base, *experts) in flat_blocks(every, tensors.base.contiguous()):
        changes = Changes(base, experts, epsilon)
        shared += (changes.is_changed & changes.is_shared).sum(dim=1)
        unique += (changes.is_changed & changes.is_unique).sum(dim=1)
    return shared, unique
