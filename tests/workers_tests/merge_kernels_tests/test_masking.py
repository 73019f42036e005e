"""How random masks are drawn."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.merge_kernels import DropMask
from workers.merge_kernels.masking import drop_key
from workers.merge_kernels.torch_kernels import _drawn

_N = 50_000
_CPU = torch.device("cpu")


def kept(key: int, density: float) -> torch.Tensor:
    return _drawn(DropMask(key, density), _N, 0, _CPU)


@given(st.floats(1e-3, 1))
def test_the_limit_lies_between_none_and_all(density: float) -> None:
    assert 0 < DropMask(0, density).limit <= 2**32


def test_full_density_keeps_all() -> None:
    assert kept(1, 1.0).all()


def test_the_probability_grows_with_the_rank_in_a_row() -> None:
    ranks = torch.arange(100, dtype=torch.int32).repeat(1000)
    mask = _drawn(DropMask(7, 0.5, ranks, epsilon=0.3, row_length=100), len(ranks), 0, _CPU).view(1000, 100)
    wanted = torch.linspace(0.2, 0.8, 100)
    deviation = (wanted * (1 - wanted) / 1000).sqrt()
    # Of a hundred shares, none beyond five standard errors: a false alarm in 17,000 runs.
    assert ((mask.float().mean(0) - wanted).abs() < 5 * deviation).all()


def test_keys_differ_in_seed_expert_and_tensor() -> None:
    keys = {drop_key(*each) for each in itertools.product((0, 1), (0, 1, 2), ("a.weight", "b.weight"))}
    assert len(keys) == 12
    assert all(0 <= key < 2**64 for key in keys)


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_masks_of_two_experts_are_independent(density: float) -> None:
    first, second = (kept(drop_key(0, expert, "a.weight"), density) for expert in (0, 1))
    both = (first & second).double().mean().item()
    p = density**2
    assert abs(both - p) < 5 * (p * (1 - p) / _N) ** 0.5


@pytest.mark.parametrize("density", [0.1, 0.5])
def test_masks_of_many_pairs_of_keys_agree_as_often_as_chance_has_it(density: float) -> None:
    """Also in sum: a hash that shows a little of how two keys differ would move all pairs."""
    wanted, n_pairs = density**2 + (1 - density) ** 2, 300
    deviation = (wanted * (1 - wanted) / _N) ** 0.5
    pairs = [[kept(drop_key(seed, expert, "a.weight"), density) for expert in (0, 1)] for seed in range(n_pairs)]
    errors = torch.tensor([(a == b).double().mean().item() - wanted for a, b in pairs]) / deviation
    assert abs(errors.mean().item()) < 4 / n_pairs**0.5
    assert abs((errors**2).mean().item() - 1) < 4 * (2 / n_pairs) ** 0.5


def test_neighbouring_elements_are_independent() -> None:
    mask = kept(drop_key(0, 0, "a.weight"), 0.5)
    pairs = (mask[:-1] & mask[1:]).double().mean().item()
    assert abs(pairs - 0.25) < 5 * (0.25 * 0.75 / _N) ** 0.5
