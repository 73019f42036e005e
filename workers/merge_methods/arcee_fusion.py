"""Arcee Fusion: take over from the other model what matters most."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softmax

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors

_NOTHING = 1e-8


class ArceeFusion(MergeMethod):
    """θ = θ_1 + m ⊙ (θ_2 - θ_1), where m marks the elements whose importance reaches median + 1.5 · (Q3 - Q1).

    As in mergekit's `arcee_fusion`: the importance of an element is |θ_2 - θ_1| times the divergence
    KL(softmax(θ_2) ‖ softmax(θ_1)) of its row. It has no numbers: there is one such merge. mergekit takes the quartiles
    of a tensor above a million elements from a random sample; here they are always those of all elements.
    """

    signature = METHOD_SIGNATURES["arcee_fusion"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        first, second = (tensor.float() for tensor in tensors.pair)
        importance = _importance(first, second)
        chosen = (importance >= _threshold(importance)).float()
        out.copy_(first + (second - first) * chosen)


def _importance(first: Tensor, second: Tensor) -> Tensor:
    p, q = softmax(second, dim=-1) + _NOTHING, softmax(first, dim=-1) + _NOTHING
    divergence = torch.sum(p * torch.log(p / q), dim=-1, keepdim=True)
    return (second - first).abs() * divergence


def _threshold(importance: Tensor) -> Tensor:
    ascending = torch.sort(importance.reshape(-1)).values
    shares = torch.tensor([0.25, 0.5, 0.75], device=ascending.device)
    lower, median, upper = ascending[(shares * (len(ascending) - 1)).long()]
    threshold: Tensor = median + 1.5 * (upper - lower)
    return threshold
