"""SCE: select elements by their variance, weigh experts by their changes, erase what disagrees in sign."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels.one_thread import one_thread
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors

# Sums of weights below it are not divided by, as in mergekit.
_NOTHING = 1e-6


class Sce(MergeMethod):
    """Select, calculate, erase: θ = θ_base + Σ w_i m_i ⊙ τ_i / Σ w_i m_i.

    Wan et al. 2024, arXiv:2408.07990, section 3.3: the share `select_topk` of the elements with the largest variance
    across experts stays (of those that vary at all), w_i is the share of the squares of what stays that is expert
    i's, and m_i keeps the sign of the sum. At `select_topk` 1 every element stays, also those that do not vary.
    """

    signature = METHOD_SIGNATURES["sce"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        base = tensors.base.float()
        vectors = torch.stack([expert.float() - base for expert in tensors.experts])  # n_experts x shape
        share = parameters.shared["select_topk"]
        if share < 1:
            vectors *= _selection(vectors, share)
        weights = _weights(vectors)
        kept = vectors.sign() == torch.where(vectors.sum(dim=0) >= 0, 1.0, -1.0)
        erased = weights.view(-1, *[1] * base.dim()) * kept
        out.copy_(base + (vectors * erased).sum(dim=0) / erased.sum(dim=0).clamp(min=_NOTHING))


def _selection(vectors: Tensor, share: float) -> Tensor:
    """1 for the elements that stay, else 0; of one expert's shape."""
    variance = torch.var(vectors, dim=0, unbiased=False)
    n_kept = int(torch.count_nonzero(variance) * share)
    selection = torch.zeros_like(variance)
    if n_kept:
        selection.view(-1)[torch.topk(variance.abs().view(-1), k=n_kept).indices] = 1
    return selection


@one_thread()
def _weights(vectors: Tensor) -> Tensor:
    """The share of each expert in the squares of all changes, `n_experts`."""
    squares = vectors.square().reshape(len(vectors), -1).mean(dim=1)
    total = float(squares.sum())
    return torch.ones_like(squares) / len(squares) if abs(total) < _NOTHING else squares / total
