"""A pool that only waits: its evaluations end in the order of their times, and score what they were given."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.scale.durations import Durations
from benchmarks.scale.simulated_pool import SimulatedPool
from search_spaces import MergeRecipe
from search_spaces.errors import PoolError
from workers.evaluation import Assignment, GradientRequest


def assignment(weights: Mapping[str, float], gradient: GradientRequest | None = None) -> Assignment:
    coefficients = {"expert": {group: {"weight": weight} for group, weight in weights.items()}}
    groups = {group: (f"{group}.weight",) for group in weights}
    recipe = MergeRecipe(
        method="task_arithmetic", base="base", experts={"expert": "e"}, groups=groups, coefficients=coefficients
    )
    return Assignment(recipe, ("alignment", "expertise"), gradient=gradient)


def test_the_shortest_is_finished_first() -> None:
    pool = SimulatedPool(8, Durations("exponential:0.02"))
    for ticket in range(8):
        pool.submit(ticket, assignment({"a": 0.1 * ticket}))
    with pytest.raises(PoolError, match="8 candidates are under way"):
        pool.submit(8, assignment({"a": 0.0}))
    finished = [pool.next_finished() for _ in range(8)]
    ends = {n: shift.started_s + shift.duration_s for n, shift in enumerate(pool.shifts)}
    assert [each[0] for each in finished if each] == sorted(ends, key=ends.__getitem__)
    assert pool.next_finished() is None


def test_waits_no_longer_than_it_may() -> None:
    pool = SimulatedPool(1, Durations("fixed:3600"))
    pool.submit(0, assignment({"a": 0.0}))
    assert pool.next_finished(timeout_s=0.01) is None
    assert pool.n_under_way == 1


def test_gradients_are_the_scores_slopes() -> None:
    pool = SimulatedPool(3, Durations("fixed:0"))
    request, step = GradientRequest(("alignment",)), 1e-6
    for ticket, weight in enumerate((0.4, 0.4 + step)):
        pool.submit(ticket, assignment({"a": weight, "b": 0.9}, request))
    (_, one), (_, other) = (finished for _ in range(2) if (finished := pool.next_finished()))
    slope = (other.scores["alignment"].value - one.scores["alignment"].value) / step
    assert one.gradients["alignment"]["expert"]["a"]["weight"] == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("text", ["fixed", "fixed:x", "normal:5", "lognormal:5", "exponential:5,1"])
def test_other_distributions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"must be fixed:S.*got '{text}'"):
        Durations(text)


def test_the_mean_is_as_given() -> None:
    durations = Durations("lognormal:5,0.5")
    assert sum(durations.draw_s() for _ in range(20_000)) / 20_000 == pytest.approx(5, rel=0.02)
