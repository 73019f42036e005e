"""Reinforced Agent Merging: average what several experts changed, keep what only one did."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.flat_blocks import flat_blocks


class Ram(MergeMethod):
    """θ = θ_base + Σ τ_i / c over the c experts that changed an element by more than `epsilon`.

    arXiv:2601.13572, as mergekit's `ram` has it: changes of one expert alone stay whole, shared ones are averaged.
    """

    signature = METHOD_SIGNATURES["ram"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        gains = self.gains(tensors, parameters)
        for block, (base, *experts) in flat_blocks((tensors.base, *tensors.experts), out):
            changes = Changes(base, experts, parameters.shared["epsilon"])
            unique = changes.vectors * changes.is_unique
            if gains is not None:
                unique = unique * gains.to(out.device)
            shared = changes.vectors * changes.is_shared / changes.counts.clamp(min=1)
            block.copy_(base + (unique + shared).sum(dim=0))

    def gains(self, tensors: SourceTensors, parameters: GroupParameters) -> Tensor | None:
        """What each expert's unique changes are multiplied with, `n_experts x 1`; None for nothing."""
        return None


class Changes:
    """The task vectors of a block, and who changed what.

    Args:
        base: float32, `n`.
        experts: float32, `n` each.
        epsilon: smaller changes count as none.
    """

    def __init__(self, base: Tensor, experts: list[Tensor], epsilon: float) -> None:
        vectors = torch.stack([expert - base for expert in experts])
        self.is_changed = vectors.abs() > epsilon  # n_experts x n
        self.vectors = vectors * self.is_changed
        self.counts = self.is_changed.sum(dim=0)  # n

    @property
    def is_shared(self) -> Tensor:
        """Where more than one expert changed something, `n`."""
        return self.counts > 1

    @property
    def is_unique(self) -> Tensor:
        """Where exactly one did, `n`."""
        return self.counts == 1
