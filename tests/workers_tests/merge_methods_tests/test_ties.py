"""TIES against an independent, slow implementation after the paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from workers.merge_methods import SourceTensors

MakeSources = Callable[..., SourceTensors]
Merge = Callable[..., torch.Tensor]
Array = NDArray[np.float64]


def trim(vector: Array, density: float) -> Array:
    """Keep the largest `density` of the values; set the others to zero (algorithm 1, step 1)."""
    kept = np.argsort(-np.abs(vector))[: int(density * len(vector))]
    trimmed = np.zeros_like(vector)
    trimmed[kept] = vector[kept]
    return trimmed


def ties(
    base: Array, experts: list[Array], weights: tuple[float, ...], densities: tuple[float, ...], normalize: bool
) -> Array:
    """Yadav et al. 2023, arXiv:2306.01708, algorithm 1, element by element, with a weight for each expert."""
    vectors = [trim(expert - base, density) for expert, density in zip(experts, densities, strict=True)]
    merged = base.copy()
    for p in range(len(base)):
        values = [weight * vector[p] for weight, vector in zip(weights, vectors, strict=True)]
        elected = np.sign(sum(values))
        agreeing = [i for i, value in enumerate(values) if value != 0 and np.sign(value) == elected]
        if agreeing:
            divisor = sum(weights[i] for i in agreeing) if normalize else 1.0
            merged[p] += sum(values[i] for i in agreeing) / divisor
    return merged


@pytest.mark.parametrize("densities", [(1.0, 1.0, 1.0), (0.2, 0.2, 0.2), (0.1, 0.5, 0.9)])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.7, 0.2, 1.4)])
@pytest.mark.parametrize("normalize", [True, False])
def test_ties_is_the_algorithm_of_the_paper(
    make_sources: MakeSources,
    merge: Merge,
    weights: tuple[float, ...],
    densities: tuple[float, ...],
    normalize: bool,
) -> None:
    sources = make_sources(shape=(1013,))
    found = merge("ties", sources, weights, density=densities, normalize=normalize)
    experts = [expert.double().numpy() for expert in sources.experts]
    wanted = ties(sources.base.double().numpy(), experts, weights, densities, normalize)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.4, -0.7])
@pytest.mark.parametrize("normalize", [True, False])
def test_one_weighed_expert_at_full_density_is_task_arithmetic(
    make_sources: MakeSources, merge: Merge, weight: float, normalize: bool
) -> None:
    weights = (weight, 0.0, 0.0)
    found, wanted = (merge(name, make_sources(), weights, normalize=normalize) for name in ("ties", "task_arithmetic"))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_trimmed_element_is_the_bases(make_sources: MakeSources, merge: Merge) -> None:
    sources = make_sources(shape=(1000,))
    found = merge("ties", sources, (1.0, 0.0, 0.0), density=0.2)
    assert (found != sources.base).sum() == 200
    kept = found != sources.base
    torch.testing.assert_close(found[kept], sources.experts[0][kept], rtol=1e-6, atol=1e-7)


def test_experts_that_disagree_do_not_cancel_out(merge: Merge) -> None:
    experts = torch.tensor([[3.0, -3.0], [-1.0, 1.0], [0.0, 0.0]])
    sources = SourceTensors("a.weight", torch.zeros(2), tuple(experts))
    assert merge("ties", sources, (1.0, 1.0, 1.0), normalize=True).tolist() == [3.0, -3.0]
