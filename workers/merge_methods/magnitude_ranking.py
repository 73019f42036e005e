"""The magnitudes of a task vector, ranked once: any density is then a comparison of ranks.

Where magnitudes are equal, as among 16-bit checkpoints many are, the order is that of `torch.argsort`, which is
not stable: so that the elements kept are the very ones that mergekit keeps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merge_methods._base import SourceTensors


def descending_ranks(tensors: SourceTensors, expert: int) -> Tensor:
    """int32, of the tensor's shape: 0 for the largest |expert - base|."""
    return tensors.kept(("descending ranks", expert), lambda: _ranks(_magnitudes(tensors, expert), descending=True))


def ascending_ranks(tensors: SourceTensors, expert: int) -> Tensor:
    """int32, of the tensor's shape: 0 for the smallest |expert - base|."""
    return tensors.kept(("ascending ranks", expert), lambda: _ranks(_magnitudes(tensors, expert), descending=False))


def row_ranks(tensors: SourceTensors, expert: int) -> Tensor:
    """int32, of the tensor's shape: 0 for the smallest |expert - base| of each row of the last dimension."""
    return tensors.kept(("row ranks", expert), lambda: _row_ranks(_magnitudes(tensors, expert)))


def _magnitudes(tensors: SourceTensors, expert: int) -> Tensor:
    return (tensors.experts[expert].float() - tensors.base.float()).abs_()


def _ranks(magnitudes: Tensor, *, descending: bool) -> Tensor:
    order = torch.argsort(magnitudes.reshape(-1), descending=descending)
    ranks = torch.empty(magnitudes.numel(), dtype=torch.int32, device=magnitudes.device)
    ranks[order] = torch.arange(len(order), dtype=torch.int32, device=magnitudes.device)
    return ranks.view(magnitudes.shape)


def _row_ranks(magnitudes: Tensor) -> Tensor:
    order = torch.argsort(magnitudes, dim=-1)
    places = torch.arange(magnitudes.shape[-1], dtype=torch.int32, device=magnitudes.device).expand_as(order)
    return torch.empty(magnitudes.shape, dtype=torch.int32, device=magnitudes.device).scatter_(-1, order, places)
