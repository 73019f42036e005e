"""DARE and DELLA: what is dropped at random, and what that leaves in the mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.merge_methods import SourceTensors

MakeSources = Callable[..., SourceTensors]
Merge = Callable[..., torch.Tensor]

_N = 20_000
METHODS = ("dare_linear", "dare_ties", "della_linear", "della")
UNIFORM = ("dare_linear", "dare_ties")


def ones(n: int = _N) -> SourceTensors:
    """Task vectors of ones: what is not zero after a merge was kept."""
    return SourceTensors("a.weight", torch.zeros(n), (torch.ones(n),) * 3)


LIMITS = [
    ("dare_linear", "task_arithmetic"),
    ("dare_ties", "ties"),
    ("della_linear", "task_arithmetic"),
    ("della", "ties"),
]


@pytest.mark.parametrize(("dare", "limit"), LIMITS)
@pytest.mark.parametrize("normalize", [True, False])
def test_at_full_density_nothing_is_random(
    make_sources: MakeSources, merge: Merge, dare: str, limit: str, normalize: bool
) -> None:
    found, wanted = (merge(name, make_sources(), (0.7, -0.2, 0.9), normalize=normalize) for name in (dare, limit))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", UNIFORM)
@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_the_share_that_is_kept_is_the_density(merge: Merge, method: str, density: float) -> None:
    found = merge(method, ones(), (1.0, 0.0, 0.0), density=density, normalize=False)
    share = (found != 0).double().mean().item()
    assert abs(share - density) < 5 * (density * (1 - density) / _N) ** 0.5


@settings(deadline=None, max_examples=20)
@given(st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)).map(sorted))
def test_what_is_kept_at_one_density_is_kept_at_every_higher_one(merge: Merge, densities: list[float]) -> None:
    low, high = (merge("dare_linear", ones(), (1.0, 0.0, 0.0), density=density) != 0 for density in densities)
    assert (high | ~low).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_kept_is_rescaled_to_the_size_of_the_task_vector(
    make_sources: MakeSources, merge: Merge, method: str
) -> None:
    sources = make_sources(shape=(40, 50))
    found = merge(method, sources, (1.0, 0.0, 0.0), density=0.4, normalize=False)
    whole = (sources.experts[0] - sources.base).abs().sum()
    assert (found - sources.base).abs().sum().item() == pytest.approx(whole.item(), rel=1e-4)
    plain = merge(method, sources, (1.0, 0.0, 0.0), density=0.4, normalize=False, rescale=0.0)
    kept = plain != sources.base
    torch.testing.assert_close(plain[kept], sources.experts[0][kept], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["della_linear", "della"])
def test_larger_changes_are_kept_more_often(merge: Merge, method: str) -> None:
    expert = torch.arange(1.0, 101.0).repeat(1000, 1)
    sources = SourceTensors(
        "a.weight", torch.zeros(1000, 100), (expert, torch.zeros(1000, 100), torch.zeros(1000, 100))
    )
    found = merge(method, sources, (1.0, 0.0, 0.0), density=0.5, epsilon=0.3, normalize=False)
    shares = (found != 0).float().mean(0)
    assert shares[:10].mean() < 0.3
    assert shares[-10:].mean() > 0.7
    assert abs(shares.mean().item() - 0.5) < 5 * 0.5 / 100_000**0.5


@pytest.mark.parametrize("density", [0.2, 0.7])
def test_the_mean_over_seeds_is_task_arithmetic(make_sources: MakeSources, merge: Merge, density: float) -> None:
    # Without the rescaling to one tensor's size, which ties its elements to each other, each is a sum of its own.
    sources, weights, n_seeds = make_sources(shape=(400,)), (0.7, 0.4, -0.9), 1000
    scaled = tuple(weight / density for weight in weights)
    seeds = [merge("dare_linear", sources, scaled, density=density, seed=seed, rescale=0.0) for seed in range(n_seeds)]
    vectors = torch.stack([weight * (e - sources.base) for weight, e in zip(weights, sources.experts, strict=True)])
    deviation = ((vectors**2).sum(0) * (1 - density) / density / n_seeds).sqrt()
    error = torch.stack(seeds).mean(0) - merge("task_arithmetic", sources, weights)
    assert (error.abs() < 5 * deviation + 1e-6).all()
    assert error.std() < 1.2 * (deviation**2).mean().sqrt()


@pytest.mark.parametrize("method", METHODS)
def test_each_expert_and_each_tensor_has_masks_of_its_own(make_sources: MakeSources, merge: Merge, method: str) -> None:
    # With one probability for all ranks: where they differ, so do the shares, and equally in every mask.
    sources, numbers = ones(), {"density": 0.5, "epsilon": 0.0}
    first = merge(method, sources, (1.0, 0.0, 0.0), **numbers)
    second = merge(method, sources, (0.0, 1.0, 0.0), **numbers)
    other = merge(method, SourceTensors("b.weight", sources.base, sources.experts), (1.0, 0.0, 0.0), **numbers)
    for mask in (second, other):
        assert abs(((mask != 0) == (first != 0)).double().mean().item() - 0.5) < 5 * 0.5 / _N**0.5
