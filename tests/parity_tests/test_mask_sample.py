"""Random masks compared in distribution: equal ones pass, and each way to differ is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scripts.parity.mask_sample import N_SEEDS, MaskSample, compare_masks

SHAPES = {"a.weight": (40, 60), "a.bias": (60,)}
Mask = Callable[[Tensor, torch.Generator], Tensor]


def sample(mask: Mask, first_seed: int = 0) -> MaskSample:
    """A task vector that `mask` sparsifies, over the seeds."""
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    expert = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    found = MaskSample(base, [expert])
    for seed in range(first_seed, first_seed + N_SEEDS):
        generator = torch.Generator().manual_seed(seed)
        found.add({name: mask(vector, generator) for name, vector in expert.items()})
    return found


def rescaled(vector: Tensor, probability: Tensor | float, generator: torch.Generator) -> Tensor:
    """Each element kept with its probability, and the L1 norm kept."""
    kept = vector * (torch.rand(vector.shape, generator=generator) < probability)
    return kept * (vector.abs().sum() / kept.abs().sum())


def dare(vector: Tensor, generator: torch.Generator, density: float = 0.6) -> Tensor:
    return rescaled(vector, density, generator)


def by_magnitude(vector: Tensor, generator: torch.Generator) -> Tensor:
    """As DELLA does: the same share in all, but larger elements more often."""
    ranks = vector.abs().argsort(dim=-1).argsort(dim=-1) / (vector.shape[-1] - 1)
    return rescaled(vector, 0.45 + 0.3 * ranks, generator)


def exact_share(vector: Tensor, generator: torch.Generator) -> Tensor:
    """Always the same number of elements."""
    order = torch.rand(vector.numel(), generator=generator).argsort()
    kept = vector * (order < 0.6 * vector.numel()).reshape(vector.shape)
    return kept * (vector.abs().sum() / kept.abs().sum())


def by_density(vector: Tensor, generator: torch.Generator) -> Tensor:
    """As the paper of DARE rescales: by 1 / density."""
    return vector * (torch.rand(vector.shape, generator=generator) < 0.6) / 0.6


def never_the_first(vector: Tensor, generator: torch.Generator) -> Tensor:
    """One row is never kept, and the others more often for it."""
    probability = torch.full(vector.shape, 0.6 * 40 / 39 if vector.dim() > 1 else 0.6)
    probability[0] = 0.0 if vector.dim() > 1 else 0.6
    return rescaled(vector, probability, generator)


def broken(mask: Mask) -> set[str]:
    """The comparisons that `mask` fails against DARE's."""
    return {found.words for found in compare_masks(sample(mask), sample(dare, 1000), rescaled=True) if not found.kept}


@pytest.mark.parametrize("mask", [dare, by_magnitude])
def test_masks_of_one_distribution_agree(mask: Mask) -> None:
    assert all(found.kept for found in compare_masks(sample(mask), sample(mask, 1000), rescaled=True))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (lambda vector, generator: dare(vector, generator, density=0.5), "kept share"),
        (exact_share, "its spread over seeds"),
        (by_density, "L1 norm, every seed"),
        (never_the_first, "expectation of every element"),
        (by_magnitude, "kept share by rank in the row"),
    ],
)
def test_each_way_to_differ_is_found(mask: Mask, words: str) -> None:
    assert words in broken(mask)
