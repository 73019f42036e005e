"""The front: equal to its definition, and what follows from that."""

from __future__ import annotations

import time
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from service.pareto import RunningDominance, certainly_dominated, non_dominated

Points = NDArray[np.float64]

# Few different values, so that ties and copies are common.
few_values = st.integers(-3, 3).map(float)
point_sets = st.integers(1, 5).flatmap(
    lambda n_objectives: st.integers(0, 40).flatmap(
        lambda n_points: arrays(np.float64, (n_points, n_objectives), elements=few_values)
    )
)


def by_definition(points: Points) -> list[bool]:
    return [not any((other >= point).all() and (other > point).any() for other in points) for point in points]


@given(point_sets)
def test_is_the_definition(points: Points) -> None:
    assert non_dominated(points).tolist() == by_definition(points)


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_is_the_definition_over_several_blocks(n_objectives: int) -> None:
    points = np.random.default_rng(0).integers(0, 30, (700, n_objectives)).astype(float)
    assert non_dominated(points).tolist() == by_definition(points)


@given(point_sets)
def test_front_of_the_front_is_the_front(points: Points) -> None:
    assert non_dominated(points[non_dominated(points)]).all()


@given(point_sets, st.randoms(use_true_random=False))
def test_order_does_not_matter(points: Points, random: Random) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    assert non_dominated(points[order]).tolist() == non_dominated(points)[order].tolist()


@given(point_sets)
def test_all_copies_are_kept(points: Points) -> None:
    assert non_dominated(np.vstack([points, points])).tolist() == non_dominated(points).tolist() * 2


@given(point_sets, st.floats(0.5, 8.0), st.integers(-5, 5))
def test_positive_scale_and_shift_change_nothing(points: Points, scale: float, shift: int) -> None:
    assert non_dominated(points * scale + shift).tolist() == non_dominated(points).tolist()


@pytest.mark.parametrize("shape", [(0,), (0, 1), (0, 2), (0, 3)])
def test_no_points_have_no_front(shape: tuple[int, ...]) -> None:
    front = non_dominated(np.empty(shape))
    assert front.shape == (0,)
    assert front.dtype == np.bool_


def test_input_stays_as_it_is() -> None:
    points = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    before = points.copy()
    non_dominated(points)
    assert (points == before).all()


@pytest.mark.parametrize("on_the_front", [True, False])
def test_five_thousand_points_of_three_objectives_take_less_than_a_second(on_the_front: bool) -> None:
    points = np.random.default_rng(0).normal(size=(5000, 3))
    if on_the_front:
        points = np.abs(points) / np.linalg.norm(points, axis=1, keepdims=True)
    started = time.process_time()
    front = non_dominated(points)
    assert time.process_time() - started < 1.0
    assert front.all() == on_the_front


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(number: float) -> None:
    with pytest.raises(ValueError, match=r"must be finite, but got \[0.0, (nan|inf|-inf)\] at index 1"):
        non_dominated(np.array([[0.0, 0.0], [0.0, number]]))


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 2, 2)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="`n_points x n_objectives` with an objective, but got shape"):
        non_dominated(np.zeros(shape))


def test_without_errors_certainly_dominated_is_dominated() -> None:
    points = np.random.default_rng(0).normal(size=(300, 3))
    assert (certainly_dominated(points, np.zeros_like(points)) == ~non_dominated(points)).all()


def test_a_difference_within_its_error_is_not_certain() -> None:
    points = np.array([[1.0, 1.0], [0.9, 1.0], [0.5, 0.9]])
    errors = np.full_like(points, 0.1)
    # 0.1 is less than one standard error of the difference, 0.14; 0.5 is more.
    assert certainly_dominated(points, errors).tolist() == [False, False, True]


def test_larger_errors_never_make_more_certain() -> None:
    rng = np.random.default_rng(1)
    points, errors = rng.normal(size=(400, 2)), rng.uniform(0, 0.3, size=(400, 2))
    marked = [certainly_dominated(points, errors * scale) for scale in (0.0, 1.0, 3.0)]
    assert (marked[2] <= marked[1]).all()
    assert (marked[1] <= marked[0]).all()
    assert not certainly_dominated(points, errors)[non_dominated(points)].any()


def certainly_by_definition(points: Points, errors: Points) -> list[bool]:
    def is_beaten(i: int) -> bool:
        gains, doubts = points - points[i], np.hypot(errors, errors[i])
        return bool(((gains >= 0).all(axis=1) & (gains > doubts).any(axis=1)).any())

    return [is_beaten(i) for i in range(len(points))]


@given(point_sets, st.randoms(use_true_random=False))
def test_certainly_dominated_is_its_definition_in_batches_of_any_size(points: Points, random: Random) -> None:
    # Some as large as the steps between values.
    errors = np.array([[random.choice([0.0, 0.5, 1.0, 2.5]) for _ in row] for row in points]).reshape(points.shape)
    expected = certainly_by_definition(points, errors)
    assert certainly_dominated(points, errors).tolist() == expected
    running, n_added = RunningDominance(), 0
    while n_added < len(points):
        batch = slice(n_added, n_added + random.randint(1, 15))
        running.add(points[batch], errors[batch])
        n_added = min(batch.stop, len(points))
        assert running.marked.tolist() == certainly_by_definition(points[:n_added], errors[:n_added])


def test_certainly_dominated_is_its_definition_over_several_blocks() -> None:
    rng = np.random.default_rng(0)
    points, errors = rng.normal(size=(700, 2)), rng.uniform(0, 0.5, size=(700, 2))
    assert certainly_dominated(points, errors).tolist() == certainly_by_definition(points, errors)
