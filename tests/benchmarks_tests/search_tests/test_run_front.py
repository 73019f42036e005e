"""A run's front: what the budget paid and nothing dominates; of a long one, points that lie apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.search.run_front import front_of, spread
from benchmarks.search.trial_records import TrialRecord


def records(*values: tuple[float, float] | None, cost: float = 1.0) -> list[TrialRecord]:
    return [
        TrialRecord({"x": float(number)}, point, cost, cost * number, 0.1, 0.2)
        for number, point in enumerate(values, start=1)
    ]


def arc(n_points: int, crowd: int = 0) -> list[TrialRecord]:
    """A front, of which so many points more are crowded at one end."""
    angles = [*np.linspace(0, np.pi / 2, n_points), *np.linspace(0.0001, 0.001, crowd)]
    return front_of(records(*((float(np.cos(angle)), float(np.sin(angle))) for angle in angles)), np.inf)


def nearest(points: list[TrialRecord]) -> float:
    values = [np.array(point.values) for point in points]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(values, 2))


def test_dominated_and_failed_trials_are_left_out() -> None:
    run = records((0.0, 1.0), None, (0.5, 0.5), (0.4, 0.4), (1.0, 0.0))
    assert [point.values for point in front_of(run, 5)] == [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]


def test_of_equals_the_first_is_kept() -> None:
    assert [point.params for point in front_of(records((0.5, 0.5), (0.5, 0.5)), 2)] == [{"x": 1.0}]


def test_what_the_budget_has_not_paid_is_left_out() -> None:
    run = records((0.5, 0.5), (0.6, 0.6), (0.7, 0.7), cost=3.0)
    assert [point.values for point in front_of(run, 8)] == [(0.6, 0.6)]
    assert front_of(run, 2) == []


def test_a_short_front_is_kept_whole() -> None:
    assert spread(arc(7), 7) == arc(7)


@pytest.mark.parametrize("n_points", [1, 2, 5, 20])
def test_a_long_front_gives_so_many_different_points(n_points: int) -> None:
    taken = spread(arc(50), n_points)
    assert len({point.values for point in taken}) == n_points


def test_the_ends_are_among_them() -> None:
    front = arc(50)
    assert {front[0].values, front[-1].values} <= {point.values for point in spread(front, 5)}


def test_fewer_points_are_the_first_of_more() -> None:
    assert spread(arc(50), 20)[:8] == spread(arc(50), 8)


def test_a_crowd_takes_no_more_than_its_place() -> None:
    taken = spread(arc(20, crowd=50), 10)
    assert nearest(taken) > 0.05


def test_the_scale_of_an_objective_is_of_no_importance() -> None:
    front = arc(50)
    # A power of two: nothing is rounded, so that ties stay ties.
    stretched = [
        TrialRecord(point.params, (point.values[0], 1024 * point.values[1]), 1.0, point.spent, 0.1, 0.2)
        for point in front
        if point.values is not None
    ]
    assert [point.params for point in spread(stretched, 9)] == [point.params for point in spread(front, 9)]
