"""Thresholds from a ranking: how many elements lie at and above them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workers.merge_methods.magnitude_ranking import MagnitudeRanking

_RESOLUTION = 16384
_SIZES = st.one_of(st.integers(1, 20), st.integers(1, 3000), st.sampled_from([16384, 16385, 40000, 100_003]))


def distinct(n: int) -> Tensor:
    """Magnitudes 1 … n in a random order and with random signs."""
    rng = np.random.default_rng(n)
    return torch.from_numpy((rng.permutation(n) + 1.0) * rng.choice([-1.0, 1.0], n)).float()


def n_kept(delta: Tensor, threshold: float) -> int:
    return int((delta.abs() >= threshold).sum())


@settings(deadline=None, max_examples=80)
@given(n=_SIZES, density=st.floats(1e-3, 1))
def test_the_wanted_number_is_kept(n: int, density: float) -> None:
    delta = distinct(n)
    threshold = MagnitudeRanking.measure(torch.zeros(n), delta).threshold(density)
    wanted = max(1, int(density * n))
    assert abs(n_kept(delta, threshold) - wanted) <= n // _RESOLUTION


@settings(deadline=None, max_examples=40)
@given(n=_SIZES, densities=st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)).map(sorted))
def test_a_higher_density_has_no_higher_threshold(n: int, densities: list[float]) -> None:
    ranking = MagnitudeRanking.measure(torch.zeros(n), distinct(n))
    assert ranking.threshold(densities[0]) >= ranking.threshold(densities[1])


@pytest.mark.parametrize("n", [1, 100, 20_000])
def test_full_density_keeps_all(n: int) -> None:
    assert MagnitudeRanking.measure(torch.zeros(n), distinct(n)).threshold(1.0) == 0


def test_equal_magnitudes_are_kept_together() -> None:
    ranking = MagnitudeRanking.measure(torch.zeros(4), torch.tensor([2.0, -2.0, 2.0, 1.0]))
    assert ranking.threshold(0.25) == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_neither_model_is_written(dtype: torch.dtype) -> None:
    base, expert = torch.arange(10, dtype=dtype), torch.arange(10, 0, -1, dtype=dtype)
    before = base.clone(), expert.clone()
    MagnitudeRanking.measure(base, expert)
    assert torch.equal(base, before[0])
    assert torch.equal(expert, before[1])


def test_the_threshold_is_an_element_of_the_kernels_own_difference() -> None:
    base, expert = torch.randn(2, 500, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    delta = (expert.float() - base.float()).abs()
    assert MagnitudeRanking.measure(base, expert).threshold(0.3) in delta.tolist()
