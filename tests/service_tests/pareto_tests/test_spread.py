"""The few points that stand for a front: its ends, and what lies between them, evenly."""

from __future__ import annotations

import numpy as np
import pytest

from service.pareto import spread


def line(n_points: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    along = np.linspace(0.0, 1.0, n_points)
    return np.stack([along, 1.0 - along], axis=1)


def test_a_line_is_halved_again_and_again() -> None:
    assert sorted(spread(line(9), 3)) == [0, 4, 8]
    assert sorted(spread(line(9), 5)) == [0, 2, 4, 6, 8]


def test_the_first_few_of_many_are_those_that_few_would_have_been() -> None:
    points = np.random.default_rng(0).random((30, 3))
    longest = spread(points, 30)
    assert sorted(longest) == list(range(30))
    assert all(spread(points, n) == longest[:n] for n in range(31))


def test_units_do_not_matter() -> None:
    points = np.random.default_rng(1).random((30, 2))
    assert spread(points * [1000.0, 0.25] - 7.0, 8) == spread(points, 8)


def test_the_best_of_every_objective_comes_first() -> None:
    points = np.random.default_rng(2).random((30, 3))
    assert set(spread(points, 3)) == set(points.argmax(axis=0))


@pytest.mark.parametrize(("points", "expected"), [([], []), ([[2.0, 3.0]], [0]), ([[2.0], [2.0], [1.0]], [0, 2])])
def test_what_is_equal_is_told_once(points: list[list[float]], expected: list[int]) -> None:
    assert spread(points, 5) == expected
