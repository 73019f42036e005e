"""The hypervolume: equal to Optuna's, and the relations that hold for any volume."""

from __future__ import annotations

import itertools
import time
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume

from service.pareto import RunningHypervolume, hypervolume

Points = NDArray[np.float64]

# Coarse values, some of them at or below the reference point 0: ties, copies and points that add nothing.
values = st.integers(-4, 20).map(lambda number: number / 4)


def matrices(n_objectives: int) -> st.SearchStrategy[Points]:
    return st.integers(0, 12).flatmap(lambda n_points: arrays(np.float64, (n_points, n_objectives), elements=values))


point_sets = st.integers(1, 5).flatmap(matrices)


def volume(points: Points) -> float:
    """Above 0."""
    return hypervolume(points, np.zeros(points.shape[1]))


def by_inclusion_and_exclusion(points: Points) -> float:
    above = points[(points > 0).all(axis=1)]
    return sum(
        float(np.min(subset, axis=0).prod()) * (1 if size % 2 else -1)
        for size in range(1, len(above) + 1)
        for subset in itertools.combinations(above, size)
    )


@given(st.sampled_from([2, 3, 4]).flatmap(matrices))
def test_is_optunas(points: Points) -> None:
    above = points[(points >= 0).all(axis=1)]
    assert volume(points) == pytest.approx(compute_hypervolume(-above, np.zeros(points.shape[1])))


@pytest.mark.parametrize("n_objectives", [2, 3, 4, 5])
def test_is_optunas_for_real_numbers(n_objectives: int) -> None:
    points = np.random.default_rng(n_objectives).normal(size=(60, n_objectives))
    reference = np.full(n_objectives, -3.5)
    above = points[(points >= reference).all(axis=1)]
    assert hypervolume(points, reference) == pytest.approx(compute_hypervolume(-above, -reference), rel=1e-12)


@given(st.integers(1, 5).flatmap(lambda n: arrays(np.float64, (5, n), elements=values)))
def test_is_the_union_of_boxes(points: Points) -> None:
    assert volume(points) == pytest.approx(by_inclusion_and_exclusion(points))


@given(point_sets, st.data())
def test_a_dominated_point_adds_nothing(points: Points, data: st.DataObject) -> None:
    if len(points) == 0:
        return
    worse = points[data.draw(st.integers(0, len(points) - 1))] - data.draw(st.integers(0, 3))
    assert volume(np.vstack([points, worse])) == pytest.approx(volume(points))


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(matrices(n), arrays(np.float64, (n,), elements=values))))
def test_never_falls_with_another_point(case: tuple[Points, Points]) -> None:
    points, another = case
    before, after = volume(points), volume(np.vstack([points, another]))
    assert after >= before or after == pytest.approx(before)


@given(point_sets, st.randoms(use_true_random=False))
def test_order_of_points_and_objectives_does_not_matter(points: Points, random: Random) -> None:
    rows, columns = list(range(points.shape[0])), list(range(points.shape[1]))
    for order in (rows, columns):
        random.shuffle(order)
    assert volume(points[rows][:, columns]) == pytest.approx(volume(points))


@given(point_sets, st.floats(0.1, 10.0), st.floats(-10.0, 10.0))
def test_scales_with_each_objective_and_ignores_shifts(points: Points, scale: float, shift: float) -> None:
    scales = np.ones(points.shape[1])
    scales[0] = scale
    scaled = hypervolume(points * scales + shift, np.full(points.shape[1], shift))
    assert scaled == pytest.approx(volume(points) * scale, abs=1e-9)


@given(point_sets)
def test_an_objective_that_is_1_everywhere_changes_nothing(points: Points) -> None:
    with_ones = np.column_stack([points, np.ones(len(points))])
    assert volume(with_ones) == pytest.approx(volume(points))


def test_a_point_on_the_reference_adds_nothing() -> None:
    assert hypervolume(np.array([[0.0, 5.0], [5.0, 0.0], [-1.0, 9.0]]), [0.0, 0.0]) == 0.0


def test_no_points_dominate_nothing() -> None:
    assert hypervolume(np.empty((0, 3)), [0.0, 0.0, 0.0]) == hypervolume(np.array([]), [0.0, 0.0]) == 0.0


def test_two_boxes() -> None:
    assert hypervolume(np.array([[-1.0, 1.0], [0.0, 0.0]]), [-2.0, -1.0]) == 3.0


@pytest.mark.parametrize(("n_points", "n_objectives"), [(5000, 2), (2000, 3), (150, 4)])
def test_large_fronts_are_quick(n_points: int, n_objectives: int) -> None:
    points = np.abs(np.random.default_rng(0).normal(size=(n_points, n_objectives)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    started = time.process_time()
    assert 0 < volume(points) < 1
    assert time.process_time() - started < 2.0


@given(point_sets)
def test_running_is_the_hypervolume_at_each_step(points: Points) -> None:
    running = RunningHypervolume(np.zeros(points.shape[1]))
    assert running.value == 0.0
    for n, point in enumerate(points, start=1):
        before = running.value
        gain = running.add(point)
        assert gain >= 0.0
        assert running.value == before + gain
        assert running.value == pytest.approx(volume(points[:n]))


def test_running_keeps_up_with_a_long_search() -> None:
    points = np.random.default_rng(0).normal(size=(3000, 2))
    running = RunningHypervolume([-3.0, -3.0])
    started = time.process_time()
    for point in points:
        running.add(point.tolist())
    assert time.process_time() - started < 2.0
    assert running.value == pytest.approx(hypervolume(points, [-3.0, -3.0]), rel=1e-12)


def test_refuses_a_reference_of_another_length() -> None:
    with pytest.raises(ValueError, match="`reference` must have 2 objectives like the points, but got 3"):
        hypervolume(np.array([[1.0, 1.0]]), [0.0, 0.0, 0.0])


@pytest.mark.parametrize("reference", [[], [0.0, np.nan], [-np.inf, 0.0], [[0.0, 0.0]]])
def test_refuses_a_reference_that_is_no_point(reference: list[float]) -> None:
    with pytest.raises(ValueError, match="`reference` must be one finite number per objective, but got"):
        RunningHypervolume(reference)


def test_running_refuses_a_point_of_another_length() -> None:
    with pytest.raises(ValueError, match="`point` must have 2 objectives, but got 3"):
        RunningHypervolume([0.0, 0.0]).add([1.0, 1.0, 1.0])
