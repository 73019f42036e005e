"""Model Stock: between the base and the experts' average, as far as their angles say."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels.one_thread import one_thread
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.flat_blocks import flat_blocks

# Products of lengths, and denominators, below it say nothing of an angle; as in mergekit.
_NOTHING = 1e-6


class ModelStock(MergeMethod):
    """θ = t · mean(θ_i) + (1 - t) · θ_base with t = N cos / (1 + (N - 1) cos), over N experts.

    Jang et al. 2024, arXiv:2403.19522, section 4.2 (eq. 3 for N): cos is the mean cosine between pairs of task
    vectors, of whole tensors or, with `filter_wise`, of each row of the last dimension. It depends on the
    checkpoints alone: nothing is weighed, and the only choice is `filter_wise`. Where opposing task vectors leave no
    finite t, the base stays.
    """

    signature = METHOD_SIGNATURES["model_stock"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        by_row = bool(parameters.shared["filter_wise"])
        share = tensors.kept(("model stock", by_row), lambda: _share(tensors, by_row))
        if by_row:
            merged = _between(share, _rows(tensors.base, by_row), [_rows(expert, by_row) for expert in tensors.experts])
            out.copy_(merged.reshape(out.shape))
            return
        for block, (base, *experts) in flat_blocks((tensors.base, *tensors.experts), out):
            block.copy_(_between(share.to(out.device), base, experts))


def _between(share: Tensor, base: Tensor, experts: list[Tensor]) -> Tensor:
    total = experts[0].clone()
    for expert in experts[1:]:
        total += expert
    return share * (total / len(experts)) + (1 - share) * base


@one_thread()
def _share(tensors: SourceTensors, by_row: bool) -> Tensor:
    """t, `n_rows x 1`."""
    base = _rows(tensors.base, by_row)
    offsets = [_rows(expert, by_row) - base for expert in tensors.experts]
    lengths = [torch.norm(offset, dim=-1) for offset in offsets]
    cosines = [
        ((offsets[i] * offsets[j]).sum(dim=-1) / (lengths[i] * lengths[j]).clamp(min=_NOTHING)).clamp(-1, 1)
        for i, j in combinations(range(len(offsets)), 2)
    ]
    cosine = torch.stack(cosines).mean(dim=0).unsqueeze(-1)
    denominator = 1 + (len(offsets) - 1) * cosine
    share = len(offsets) * cosine / denominator
    return torch.where(denominator.abs() < _NOTHING, torch.zeros_like(share), share)


def _rows(tensor: Tensor, by_row: bool) -> Tensor:
    """float32, `n_rows x n`; one row where rows are not looked at, or there is one."""
    whole = tensor.float()
    return whole.reshape(-1) if not by_row else whole.unsqueeze(0) if whole.dim() == 1 else whole
