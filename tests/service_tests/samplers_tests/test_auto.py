"""Which sampler a search gets when its specification leaves the choice."""

from __future__ import annotations

from itertools import product

import pytest

from service.samplers import SAMPLERS, SearchShape, choose_sampler
from service.samplers.nsga2 import population_size

N_DIMS, N_OBJECTIVES, EVALUATIONS = (1, 2, 8, 9, 40, 400), (1, 2, 3, 4, 7), (1, 60, 61, 1000, 1001, 20_000)


def test_any_shape_gets_a_sampler_and_a_reason_with_its_numbers() -> None:
    for n_dims, n_objectives, evaluations in product(N_DIMS, N_OBJECTIVES, EVALUATIONS):
        name, reason = choose_sampler(SearchShape(n_dims, n_objectives, evaluations))
        assert name in SAMPLERS
        assert reason.startswith(f"{n_dims} dimensions, {n_objectives} objectives, {evaluations} evaluations: ")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (SearchShape(4, 2, 40), "gp"),
        (SearchShape(12, 2, 40), "tpe"),
        (SearchShape(40, 2, 1000), "tpe"),
        (SearchShape(40, 2, 1001), "nsga2"),
        (SearchShape(64, 2, 1000, n_workers=31), "tpe"),
        (SearchShape(64, 2, 1000, n_workers=32), "nsga2"),
        (SearchShape(64, 2, 10_000, n_workers=256, n_differentiable=2), "gradient"),
        (SearchShape(40, 4, 300), "nsga3"),
        (SearchShape(40, 4, 300, n_differentiable=1), "gradient"),
        (SearchShape(4, 2, 2, n_differentiable=2), "gp"),
        (SearchShape(4, 2, 2, n_differentiable=2, gradient_share=0.5), "gradient"),
    ],
    ids=str,
)
def test_choice(shape: SearchShape, expected: str) -> None:
    assert choose_sampler(shape)[0] == expected


@pytest.mark.parametrize(
    ("evaluations", "n_workers", "expected"), [(1, 1, 8), (300, 1, 30), (9999, 1, 50), (9, 16, 16), (300, 64, 64)]
)
def test_a_population_is_large_enough_and_leaves_generations(evaluations: int, n_workers: int, expected: int) -> None:
    assert population_size(SearchShape(3, 2, evaluations, n_workers)) == expected
