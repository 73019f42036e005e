"""The magnitudes of a task vector, ranked once: it depends on the checkpoints alone, and no candidate sorts anything.

Where magnitudes are equal, as among 16-bit checkpoints many are, the order is that of `torch.argsort`, which is
not stable: so that the elements kept are the very ones that mergekit keeps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.merge_methods._base import SourceTensors

# What the smaller of two integers holds.
_INT16, _INT32 = torch.iinfo(torch.int16).max, torch.iinfo(torch.int32).max


def descending_order(tensors: SourceTensors, expert: int) -> Tensor:
    """The flat tensor's elements from the largest |expert - base| down, `n`; int32 where that is enough."""
    return tensors.kept(("descending", expert), lambda: _order(_magnitudes(tensors, expert), descending=True))


def ascending_order(tensors: SourceTensors, expert: int) -> Tensor:
    """The flat tensor's elements from the smallest |expert - base| up, `n`; int32 where that is enough."""
    return tensors.kept(("ascending", expert), lambda: _order(_magnitudes(tensors, expert), descending=False))


def row_ranks(tensors: SourceTensors, expert: int) -> Tensor:
    """Of the tensor's shape, 0 for the smallest |expert - base| of each row of the last dimension; int16 if it can."""
    return tensors.kept(("rows", expert), lambda: _row_ranks(_magnitudes(tensors, expert)))


def _magnitudes(tensors: SourceTensors, expert: int) -> Tensor:
    return (tensors.experts[expert].float() - tensors.base.float()).abs_()


def _order(magnitudes: Tensor, *, descending: bool) -> Tensor:
    order = torch.argsort(magnitudes.reshape(-1), descending=descending)
    return order if len(order) > _INT32 else order.int()


def _row_ranks(magnitudes: Tensor) -> Tensor:
    order = torch.argsort(magnitudes, dim=-1)
    dtype = torch.int32 if magnitudes.shape[-1] > _INT16 else torch.int16
    places = torch.arange(magnitudes.shape[-1], dtype=dtype, device=magnitudes.device).expand_as(order)
    return torch.empty(magnitudes.shape, dtype=dtype, device=magnitudes.device).scatter_(-1, order, places)
