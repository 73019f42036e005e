"""Linear averaging and task arithmetic: both are linear in the weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workers.merge_methods import SourceTensors

MakeSources = Callable[..., SourceTensors]
Merge = Callable[..., torch.Tensor]

_WEIGHTS = st.tuples(*[st.floats(-2, 2)] * 3)


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(weights=st.tuples(*[st.floats(0.1, 2)] * 3), scale=st.floats(0.01, 4))
def test_a_normalised_average_does_not_see_the_scale_of_its_weights(
    make_sources: MakeSources, merge: Merge, weights: tuple[float, ...], scale: float
) -> None:
    scaled = tuple(scale * weight for weight in weights)
    found = merge("linear", make_sources(), scaled, base=scale * 0.5, normalize=True)
    assert_close(found, merge("linear", make_sources(), weights, base=0.5, normalize=True))


def test_equal_weights_give_the_mean(make_sources: MakeSources, merge: Merge) -> None:
    sources = make_sources()
    mean = torch.stack([sources.base, *sources.experts]).mean(0)
    assert_close(merge("linear", sources, (1.0,) * 3, base=1.0, normalize=True), mean)


@settings(deadline=None, max_examples=25)
@given(weights=_WEIGHTS)
def test_task_arithmetic_is_the_weighted_sum_of_task_vectors(
    make_sources: MakeSources, merge: Merge, weights: tuple[float, ...]
) -> None:
    sources = make_sources()
    vectors = [weight * (expert - sources.base) for weight, expert in zip(weights, sources.experts, strict=True)]
    assert_close(merge("task_arithmetic", sources, weights), sources.base + torch.stack(vectors).sum(0))


@settings(deadline=None, max_examples=25)
@given(first=_WEIGHTS, second=_WEIGHTS)
def test_task_arithmetic_adds_up(
    make_sources: MakeSources, merge: Merge, first: tuple[float, ...], second: tuple[float, ...]
) -> None:
    sources = make_sources()
    both = tuple(a + b for a, b in zip(first, second, strict=True))
    changes = [merge("task_arithmetic", sources, weights) - sources.base for weights in (first, second, both)]
    assert_close(changes[0] + changes[1], changes[2])


def test_task_arithmetic_is_an_average_in_which_the_base_takes_the_rest(
    make_sources: MakeSources, merge: Merge
) -> None:
    weights = (0.3, 0.2, 0.1)
    found = merge("task_arithmetic", make_sources(), weights)
    assert_close(found, merge("linear", make_sources(), weights, base=1 - sum(weights), normalize=False))


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_normalised_task_arithmetic_does_not_see_the_scale(
    make_sources: MakeSources, merge: Merge, scale: float
) -> None:
    weights = (0.3, 0.2, 0.1)
    scaled = tuple(scale * weight for weight in weights)
    found = merge("task_arithmetic", make_sources(), scaled, normalize=True)
    assert_close(found, merge("task_arithmetic", make_sources(), weights, normalize=True))
