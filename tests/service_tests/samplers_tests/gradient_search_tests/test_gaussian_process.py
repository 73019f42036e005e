"""The process is exact: it equals the dense one that knows no span, and goes through what it was told."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.samplers.gradient_search.gaussian_process import Correlations, GradientProcess, Observations

Array = NDArray[np.float64]
RNG = np.random.default_rng(0)
LENGTH = 1.3


def wave(points: Array) -> Array:
    return np.asarray(np.sin(points.sum(axis=1)) + points[:, 0] ** 2)


def slopes(points: Array) -> Array:
    found: Array = np.cos(points.sum(axis=1))[:, None] * np.ones_like(points)
    found[:, 0] += 2 * points[:, 0]
    return found


def process(points: Array, graded: list[int], length: float = LENGTH) -> GradientProcess:
    moves = np.ones(points.shape[1], dtype=bool)
    observations = Observations(points, np.array(graded, dtype=np.intp), moves)
    return GradientProcess(Correlations(observations, length), wave(points), slopes(points)[graded])


def dense_covariance(a: Array, b: Array) -> Array:
    """Of value and gradient at `a` with value and gradient at `b`, `n_dims + 1` each way, by the textbook."""
    apart, n = a - b, len(a)
    k = np.exp(-(apart @ apart) / (2 * LENGTH**2))
    found = np.empty((n + 1, n + 1))
    found[0, 0] = k
    found[0, 1:] = k * apart / LENGTH**2
    found[1:, 0] = -found[0, 1:]
    found[1:, 1:] = k * (np.eye(n) / LENGTH**2 - np.outer(apart, apart) / LENGTH**4)
    return found


@pytest.mark.parametrize("n_dims", [2, 5, 40])
def test_goes_through_values_and_gradients(n_dims: int) -> None:
    points = RNG.random((6, n_dims))
    means, gradients = process(points, [0, 2, 5]).mean(points)
    assert means == pytest.approx(wave(points), abs=1e-3)
    assert gradients[[0, 2, 5]] == pytest.approx(slopes(points)[[0, 2, 5]], abs=2e-2)


@pytest.mark.parametrize("n_dims", [1, 3, 9])
def test_knows_what_the_dense_process_knows(n_dims: int) -> None:
    points, at = RNG.random((4, n_dims)), RNG.random((3, n_dims))
    joint = np.block([[dense_covariance(a, b) for b in points] for a in points])
    told = np.column_stack([wave(points), slopes(points)]).ravel()
    ones = np.tile(np.eye(1, n_dims + 1).ravel(), 4)
    inverse = np.linalg.inv(joint + 1e-6 * np.diag(np.diag(joint)))
    mean = ones @ inverse @ told / (ones @ inverse @ ones)
    variance = (told - mean * ones) @ inverse @ (told - mean * ones) / len(told)
    cross = np.array([np.concatenate([dense_covariance(x, b)[0] for b in points]) for x in at])
    found = process(points, [0, 1, 2, 3])
    assert found.mean(at)[0] == pytest.approx(mean + cross @ inverse @ (told - mean * ones), abs=1e-6)
    unexplained = np.maximum(1 - np.einsum("ij,jk,ik->i", cross, inverse, cross), 1e-12)
    assert found.deviation(at) == pytest.approx(np.sqrt(variance * unexplained), rel=1e-3, abs=1e-5)


def test_gradient_of_the_mean_is_its_difference_quotient() -> None:
    points, at, step = RNG.random((5, 7)), RNG.random((1, 7)), 1e-5
    found = process(points, [1, 3])
    moved = np.concatenate([found.mean(at + step * axis)[0] - found.mean(at - step * axis)[0] for axis in np.eye(7)])
    assert found.mean(at)[1][0] == pytest.approx(moved / (2 * step), abs=1e-6)


def test_values_alone_will_do() -> None:
    points = RNG.random((8, 3))
    assert process(points, []).mean(points)[0] == pytest.approx(wave(points), abs=1e-3)


def test_knows_little_far_away() -> None:
    points = 0.1 * RNG.random((5, 4))
    near, far = process(points, [0, 1], length=0.3).deviation(np.array([points[0], np.ones(4)]))
    assert near < 0.02 * far


def test_gradients_along_some_coordinates_say_nothing_of_the_others() -> None:
    """Coordinates without gradients are learnt from values, not taken for flat."""
    points = RNG.random((30, 2))
    moves = np.array([True, False])
    observations = Observations(points, np.arange(3, dtype=np.intp), moves)
    found = GradientProcess(Correlations(observations, 0.7), wave(points), slopes(points)[:3])
    assert found.mean(points[:3])[1] == pytest.approx(slopes(points)[:3], abs=0.15)


def test_a_gradient_teaches_more_in_more_dimensions() -> None:
    """What is left unknown after one gradient, beside what a value alone leaves."""
    points, at = np.full((1, 30), 0.5), 0.5 + 0.05 * RNG.standard_normal((1, 30))
    with_gradient, without = process(points, [0], 3.0), process(points, [], 3.0)
    error = abs(with_gradient.mean(at)[0] - wave(at))
    assert error < 0.3 * abs(without.mean(at)[0] - wave(at))
