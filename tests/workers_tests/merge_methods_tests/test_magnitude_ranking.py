"""Orders of magnitudes: each element once, sorted, and as mergekit's sort has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from workers.merge_methods import SourceTensors
from workers.merge_methods.magnitude_ranking import ascending_order, descending_order, row_ranks

Ranks = Callable[[SourceTensors, int], Tensor]

SHAPES = [(1,), (500,), (33, 65), (3, 5, 7)]


def sources(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> SourceTensors:
    base, expert = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    return SourceTensors("a.weight", base, (expert,))


def magnitudes(tensors: SourceTensors) -> Tensor:
    return (tensors.experts[0].float() - tensors.base.float()).abs()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("order", "sign"), [(ascending_order, 1), (descending_order, -1)])
def test_orders_are_permutations_that_sort(shape: tuple[int, ...], dtype: torch.dtype, order: Ranks, sign: int) -> None:
    tensors = sources(shape, dtype)
    found = order(tensors, 0).long()
    assert sorted(found.tolist()) == list(range(tensors.base.numel()))
    assert (sign * magnitudes(tensors).reshape(-1)[found].diff() >= 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_have_ranks_of_their_own(shape: tuple[int, ...]) -> None:
    tensors = sources(shape)
    found = row_ranks(tensors, 0).long()
    assert torch.equal(found.sort(dim=-1).values, torch.arange(shape[-1]).expand(shape))
    in_order = torch.empty(shape).scatter_(-1, found, magnitudes(tensors))
    assert (in_order.diff(dim=-1) >= 0).all()


def test_equal_magnitudes_stand_as_torch_sorts_them() -> None:
    # So does mergekit, on which of them it keeps: sorts that keep their order would keep others.
    expert = torch.randint(-3, 4, (5000,), generator=torch.Generator().manual_seed(0)).float()
    tensors = SourceTensors("a.weight", torch.zeros(5000), (expert,))
    assert torch.equal(descending_order(tensors, 0).long(), torch.argsort(expert.abs(), descending=True))


def test_orders_are_made_once() -> None:
    tensors = sources((100,))
    assert descending_order(tensors, 0) is descending_order(tensors, 0)
