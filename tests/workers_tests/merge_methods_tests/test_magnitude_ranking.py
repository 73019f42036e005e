"""Ranks of magnitudes: each once, in order, and as mergekit's sort has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from workers.merge_methods import SourceTensors
from workers.merge_methods.magnitude_ranking import ascending_ranks, descending_ranks, row_ranks

Ranks = Callable[[SourceTensors, int], Tensor]

SHAPES = [(1,), (500,), (33, 65), (3, 5, 7)]


def sources(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> SourceTensors:
    base, expert = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    return SourceTensors("a.weight", base, (expert,))


def magnitudes(tensors: SourceTensors) -> Tensor:
    return (tensors.experts[0].float() - tensors.base.float()).abs()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("ranks", "sign"), [(ascending_ranks, 1), (descending_ranks, -1)])
def test_ranks_are_a_permutation_that_sorts(
    shape: tuple[int, ...], dtype: torch.dtype, ranks: Ranks, sign: int
) -> None:
    tensors = sources(shape, dtype)
    found = ranks(tensors, 0).reshape(-1).long()
    assert sorted(found.tolist()) == list(range(found.numel()))
    in_order = torch.empty(found.numel()).scatter_(0, found, magnitudes(tensors).reshape(-1))
    assert (sign * in_order.diff() >= 0).all()


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
    kept = descending_ranks(tensors, 0) < 1000
    assert set(kept.nonzero().flatten().tolist()) == set(torch.argsort(expert.abs(), descending=True)[:1000].tolist())


def test_ranks_are_made_once() -> None:
    tensors = sources((100,))
    assert descending_ranks(tensors, 0) is descending_ranks(tensors, 0)
