"""Spherical interpolation: its ends, its lengths, and its limit."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from workers.merge_methods import SourceTensors
from workers.merge_methods.slerp import _cosine

Merge = Callable[..., torch.Tensor]

TS = (0.0, 0.1, 0.5, 0.8, 1.0)


def pair(first: Tensor, second: Tensor) -> SourceTensors:
    return SourceTensors("a.weight", first, (second,))


def unit(n: int, place: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(place), n).float()


@pytest.mark.parametrize("t", TS)
@pytest.mark.parametrize("factor", [3.0, -0.5])
def test_parallel_tensors_are_interpolated_linearly(merge: Merge, t: float, factor: float) -> None:
    first = torch.randn(100, generator=torch.Generator().manual_seed(0))
    found = merge("slerp", pair(first, factor * first), (t,))
    torch.testing.assert_close(found, (1 - t + t * factor) * first)


@pytest.mark.parametrize("t", TS)
def test_a_zero_tensor_counts_as_at_a_right_angle(merge: Merge, t: float) -> None:
    wanted = torch.full((5,), math.sin(t * math.pi / 2))
    torch.testing.assert_close(merge("slerp", pair(torch.zeros(5), torch.ones(5)), (t,)), wanted)


@pytest.mark.parametrize("t", TS)
def test_unit_tensors_at_a_right_angle_keep_their_length(merge: Merge, t: float) -> None:
    found = merge("slerp", pair(unit(9, 2), unit(9, 5)), (t,))
    assert found.norm().item() == pytest.approx(1, abs=1e-6)
    assert math.atan2(found[5].item(), found[2].item()) == pytest.approx(t * math.pi / 2, abs=1e-6)


@pytest.mark.parametrize("t", TS)
def test_the_way_back_is_the_way(merge: Merge, t: float) -> None:
    first, second = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    there, back = merge("slerp", pair(first, second), (t,)), merge("slerp", pair(second, first), (1 - t,))
    torch.testing.assert_close(there, back, rtol=1e-5, atol=1e-6)


def test_of_two_experts_the_base_has_no_part(merge: Merge) -> None:
    base, first, second = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    found = merge("slerp", SourceTensors("a.weight", base, (first, second)), (0.0, 0.3))
    assert torch.equal(found, merge("slerp", pair(first, second), (0.3,)))


def test_the_cosine_is_that_of_plain_vectors_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = torch.randn(2, 30, 7, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    cosine = torch.nn.functional.cosine_similarity(first.double().reshape(-1), second.double().reshape(-1), dim=0)
    assert _cosine(first, second) == pytest.approx(cosine.item(), abs=1e-6)
    monkeypatch.setattr("workers.merge_methods.slerp._BLOCK", 11)
    assert _cosine(first, second) == pytest.approx(cosine.item(), abs=1e-6)
