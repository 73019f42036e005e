"""The knee and the constraints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from search_spaces.errors import SelectionError
from service.pareto import Constraint, knee, non_dominated, parse_constraint, select_by_constraint

Points = NDArray[np.float64]

OBJECTIVES = ("alignment", "expertise", "restraint")
POINTS = np.array([[0.0, 1.0], [0.7, 0.8], [0.5, 0.5], [0.9, 0.4], [1.0, 0.0]])

few_values = st.integers(-5, 5).map(float)


def matrices(n_objectives: int) -> st.SearchStrategy[Points]:
    return st.integers(1, 20).flatmap(lambda n: arrays(np.float64, (n, n_objectives), elements=few_values))


point_sets = st.integers(1, 4).flatmap(matrices)


@given(point_sets)
def test_knee_is_on_the_front(points: Points) -> None:
    assert non_dominated(points)[knee(points)]


@given(point_sets, st.data())
def test_knee_does_not_change_with_positive_scales_and_shifts(points: Points, data: st.DataObject) -> None:
    per_objective = points.shape[1]
    scales = data.draw(arrays(np.float64, (per_objective,), elements=st.floats(0.1, 10.0)))
    shifts = data.draw(arrays(np.float64, (per_objective,), elements=st.floats(-10.0, 10.0)))
    assert knee(points * scales + shifts) == knee(points)


@given(point_sets)
def test_knee_does_not_change_with_dominated_points(points: Points) -> None:
    assert knee(np.vstack([points, points.min(axis=0) - 10.0])) == knee(points)


@given(matrices(2))
def test_knee_of_two_objectives_is_farthest_from_the_line_between_the_ends(points: Points) -> None:
    front = np.unique(points[non_dominated(points)], axis=0)
    if len(front) < 3:
        return
    first, last = front[0], front[-1]
    across = (last - first)[::-1] * [-1, 1]
    distances = (front - first) @ across / np.linalg.norm(across)
    chosen = (points[knee(points)] - first) @ across / np.linalg.norm(across)
    assert chosen == pytest.approx(distances.max())


def test_knee_of_a_front_with_a_corner_is_the_corner() -> None:
    assert knee(POINTS) == 1


def test_knee_of_a_tie_is_the_first() -> None:
    assert knee(np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])) == 0


def test_knee_of_one_point_is_that_point() -> None:
    assert knee(np.array([[3.0, -2.0]])) == 0


def test_knee_of_equal_points_is_the_first() -> None:
    assert knee(np.ones((4, 3))) == 0


def test_an_objective_without_range_counts_nothing() -> None:
    assert knee(np.column_stack([POINTS, np.full(len(POINTS), 7.0)])) == knee(POINTS)


def test_no_points_have_no_knee() -> None:
    with pytest.raises(SelectionError, match="one evaluated candidate or more, but got none: wait for the first"):
        knee(np.empty((0, 2)))


@pytest.mark.parametrize(
    ("text", "comparison", "bound"),
    [
        ("alignment>=0.9", ">=", 0.9),
        ("  alignment  <=  0.9 ", "<=", 0.9),
        ("alignment >= -2", ">=", -2.0),
        ("alignment<=-1.5e-3", "<=", -0.0015),
        ("alignment >= +1E2", ">=", 100.0),
        ("alignment ≥ 0.95", ">=", 0.95),
        ("alignment≤.5", "<=", 0.5),
    ],
)
def test_constraints_are_read(text: str, comparison: str, bound: float) -> None:
    constraint = parse_constraint(text, OBJECTIVES)
    assert (constraint.objective, constraint.comparison, constraint.bound) == ("alignment", comparison, bound)


@given(st.sampled_from(OBJECTIVES), st.sampled_from([">=", "<="]), st.floats(allow_nan=False, allow_infinity=False))
def test_a_constraint_is_read_back_from_its_text(objective: str, comparison: str, bound: float) -> None:
    constraint = parse_constraint(f"{objective}{comparison}{bound}", OBJECTIVES)
    assert parse_constraint(str(constraint), OBJECTIVES) == constraint


def test_names_of_objectives_may_have_spaces() -> None:
    assert parse_constraint("medical answers >= 1", ["medical answers"]) == Constraint("medical answers", ">=", 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alignment",
        "alignment>0.9",
        "alignment=0.9",
        "alignment>=",
        ">=0.9",
        "0.9<=alignment",
        "safety>=0.9",
        "alignment>=high",
        "alignment>=nan",
        "alignment<=inf",
        "alignment>=0.9<=1",
        "alignment>=0.9, expertise>=0",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(SelectionError, match=r"such as 'alignment>=0.9', but got .* Objectives: alignment, expertise"):
        parse_constraint(text, OBJECTIVES)


def select(*constraints: str) -> int:
    return select_by_constraint(POINTS, OBJECTIVES[:2], [parse_constraint(text, OBJECTIVES) for text in constraints])


def test_the_unconstrained_objective_decides() -> None:
    assert select("alignment>=0.6") == 1
    assert select("alignment>=0.8") == 3
    assert select("expertise>=0.3") == 3
    assert select("alignment<=0.6") == 0


def test_a_value_on_the_bound_satisfies() -> None:
    assert select("alignment>=0.9") == 3


def test_dominated_points_are_not_selected() -> None:
    with pytest.raises(SelectionError, match="no point of the front does"):
        select("alignment>=0.4", "alignment<=0.6")


def test_all_objectives_count_where_all_are_constrained() -> None:
    assert select("alignment>=0.0", "expertise>=0.0") == knee(POINTS)


def test_the_best_that_was_reached_is_told() -> None:
    with pytest.raises(SelectionError, match=r"must satisfy alignment>=2.0, but .* The best it reaches: alignment 1\."):
        select("alignment>=2")
    with pytest.raises(SelectionError, match=r"best it reaches, each by itself: alignment 1, expertise 0\. Loosen"):
        select("alignment>=0.95", "expertise<=-1")


@given(point_sets)
def test_without_constraints_it_is_the_knee(points: Points) -> None:
    objectives = [f"objective {i}" for i in range(points.shape[1])]
    assert select_by_constraint(points, objectives, []) == knee(points)


@given(matrices(3), st.integers(-5, 5))
def test_the_selected_point_is_on_the_front_and_satisfies(points: Points, bound: int) -> None:
    constraint = Constraint("expertise", ">=", float(bound))
    if points[:, 1].max() < bound:
        with pytest.raises(SelectionError, match=f"expertise {points[:, 1].max():g}"):
            select_by_constraint(points, OBJECTIVES, [constraint])
        return
    selected = select_by_constraint(points, OBJECTIVES, [constraint])
    assert non_dominated(points)[selected]
    assert points[selected, 1] >= bound


def test_a_constraint_on_another_objective_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"one of alignment, expertise, but got restraint>=0\.5"):
        select_by_constraint(POINTS, OBJECTIVES[:2], [Constraint("restraint", ">=", 0.5)])


def test_the_columns_must_be_named() -> None:
    with pytest.raises(ValueError, match="must name the 2 columns of the points"):
        select_by_constraint(POINTS, OBJECTIVES, [])


def test_no_points_satisfy_nothing() -> None:
    with pytest.raises(SelectionError, match="one evaluated candidate or more, but got none"):
        select_by_constraint(np.array([]), OBJECTIVES, [])
