"""Where trials stand, against the direct computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import SelectionError
from service.pareto import hypervolume
from service.results import Standing, front_json
from service.search.selection import front_of, select_trial
from service.studies import FinishedTrial, reference_point

OBJECTIVES = ("alignment", "expertise")

# Coarse, so that some values are equal; None has failed.
VALUES = st.one_of(st.none(), st.tuples(*[st.integers(0, 8).map(lambda value: value / 8)] * 2))


def trial(number: int, values: tuple[float, ...] | None, landmark: str = "", error: float = 0.1) -> FinishedTrial:
    return FinishedTrial(
        number=number,
        params={},
        values=values or (),
        standard_errors=(error,) * len(values or ()),
        landmark=landmark,
        make_s=0.0,
        score_s=0.0,
        failure="" if values else "timeout",
    )


def trials_of(values: Sequence[tuple[float, ...] | None]) -> list[FinishedTrial]:
    # Some numbers are missing: those trials are still running. The first two are landmarks.
    return [trial(2 * i, pair, "landmark" if i < 2 else "") for i, pair in enumerate(values)]


def directly(trials: Sequence[FinishedTrial]) -> list[tuple[int, float]]:
    """The hypervolume of each prefix, where it grows."""
    reference, steps, last = reference_point(trials, 2), [], 0.0
    for n in range(1, len(trials) + 1):
        values = [t.values for t in trials[:n] if t.succeeded]
        now = hypervolume(np.array(values).reshape(len(values), 2), reference)
        if now > last + 1e-12:
            steps.append((n, now))
            last = now
    return steps


@given(st.lists(VALUES, max_size=40))
@settings(deadline=None)
def test_hypervolume_steps_are_those_of_every_prefix(values: list[tuple[float, float] | None]) -> None:
    trials = trials_of(values)
    found, expected = Standing(trials, 2).hypervolume_steps, directly(trials)
    assert [n for n, _ in found] == [n for n, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected])


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_hypervolume_steps_of_more_trials_than_are_compared_at_once(n_objectives: int) -> None:
    rng = np.random.default_rng(0)
    trials = [trial(i, tuple(rng.normal(size=n_objectives).tolist())) for i in range(700)]
    standing = Standing(trials, n_objectives)
    steps = dict(standing.hypervolume_steps)
    for n in (1, 255, 256, 257, 512, 700):
        expected = hypervolume(np.array([t.values for t in trials[:n]]), standing.reference_point)
        assert steps.get(max(at for at in steps if at <= n)) == pytest.approx(expected)
    assert standing.hypervolume == pytest.approx(list(steps.values())[-1])


@given(st.lists(VALUES, min_size=1, max_size=30), st.sampled_from([(), ("alignment>=0.5",), ("expertise<=0.4",)]))
@settings(deadline=None)
def test_selection_from_the_front_is_that_from_all(
    values: list[tuple[float, float] | None], constraints: tuple[str, ...]
) -> None:
    trials = trials_of(values)

    def selected(choose: Callable[[], FinishedTrial]) -> FinishedTrial | str:
        try:
            return choose()
        except SelectionError as error:
            return str(error)

    from_all = selected(lambda: select_trial(trials, OBJECTIVES, constraints=constraints))
    assert selected(lambda: Standing(trials, 2).select(constraints, OBJECTIVES)) == from_all


def test_front_is_that_of_the_search() -> None:
    trials = trials_of([(0.0, 1.0), None, (1.0, 0.0), (0.5, 0.5), (0.4, 0.4)])
    assert Standing(trials, 2).front == front_of(trials)


def test_what_is_known_already_is_not_computed() -> None:
    trials = trials_of([(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
    assert Standing(trials, 2).within_error == []
    assert Standing(trials, 2, clearly_dominated=set()).within_error == [4]
    assert Standing(trials, 2, front=trials[:1]).front == trials[:1]


@pytest.mark.parametrize("values", [[], [None, None]])
def test_nothing_to_show_is_shown(values: list[None]) -> None:
    standing = Standing(trials_of(values), 2)
    assert (list(standing.front), standing.within_error, standing.hypervolume, standing.hypervolume_steps) == (
        [],
        [],
        None,
        [],
    )
    assert standing.reference_point == (0.0, 0.0)


def test_front_for_programs() -> None:
    trials = trials_of([(0.0, 1.0), (0.0, 0.0), (1.0, 0.0), None])
    assert front_json(trials, OBJECTIVES, trials[2], {}) == {
        "objectives": ["alignment", "expertise"],
        "finished": 4,
        "spent_evaluations": 4,
        "failed": 1,
        "raced": 0,
        "saved_evaluations": 0,
        "reference_point": [-0.1, -0.1],
        "hypervolume": pytest.approx(0.1 * 1.1 + 1.0 * 0.1),
        "selected": 4,
        "front": [shown(4, None, (1.0, 0.0)), shown(0, "landmark", (0.0, 1.0))],
        "within_error": [],
        "landmarks": [shown(0, "landmark", (0.0, 1.0)), shown(2, "landmark", (0.0, 0.0))],
    }


def shown(number: int, landmark: str | None, values: tuple[float, ...]) -> dict[str, object]:
    return {
        "trial": number,
        "landmark": landmark,
        "values": dict(zip(OBJECTIVES, values, strict=True)),
        "standard_errors": {"alignment": 0.1, "expertise": 0.1},
        "holdout": {},
    }
