"""The paper's grid, and what comes after its last point."""

from __future__ import annotations

from itertools import product

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler

Space = dict[str, BaseDistribution]
Params = dict[str, float]


def space(n_models: int, high: float = 1.5, **others: BaseDistribution) -> Space:
    given: Space = {"weight": FloatDistribution(0.0, high), **others}
    return {f"m{i}/layer.{j}/{name}": d for i in range(n_models) for j in range(2) for name, d in given.items()}


def proposals(given: Space, n_trials: int) -> list[Params]:
    sampler = TrialSeededSampler(SAMPLERS["grid"], 0, SearchShape(len(given), 2, n_trials), given)
    study = optuna.create_study(directions=["maximize"] * 2, sampler=sampler)
    return [study.ask(given).params for _ in range(n_trials)]


def weights(params: Params, n_models: int) -> tuple[float, ...]:
    return tuple(params[f"m{i}/layer.0/weight"] for i in range(n_models))


@pytest.mark.parametrize(("n_models", "values"), [(2, (0.25, 0.5, 1.0)), (3, (0.1, 0.25, 0.33, 0.5, 1.0))])
def test_is_the_full_factorial_of_the_papers_values(n_models: int, values: tuple[float, ...]) -> None:
    asked = proposals(space(n_models), len(values) ** n_models)
    assert {weights(params, n_models) for params in asked} == set(product(values, repeat=n_models))


def test_the_papers_own_points_come_first() -> None:
    asked = proposals(space(2, density=FloatDistribution(0.1, 1.0)), 9)
    points = [(params["m0/layer.0/weight"], params["m0/layer.0/density"]) for params in asked]
    assert set(points) == set(product((0.25, 0.5, 1.0), repeat=2))
    assert all(params["m0/layer.0/density"] == params["m1/layer.0/density"] for params in asked)


def test_all_groups_have_the_same() -> None:
    for params in proposals(space(2), 9):
        assert all(params[f"m{i}/layer.0/weight"] == params[f"m{i}/layer.1/weight"] for i in range(2))


def test_an_interpolation_has_tenths() -> None:
    asked = proposals({"expert/layer.0/t": FloatDistribution(0.0, 1.0)}, 10)
    assert sorted(params["expert/layer.0/t"] for params in asked) == pytest.approx([i / 10 for i in range(1, 11)])


def test_values_beyond_the_bounds_become_the_bound() -> None:
    asked = proposals(space(1, high=0.8), 3)
    assert {weights(params, 1) for params in asked} == {(0.25,), (0.5,), (0.8,)}


def test_after_the_last_point_the_grid_is_finer() -> None:
    asked = [weights(params, 1)[0] for params in proposals(space(1), 9)]
    assert set(asked[:3]) == {0.25, 0.5, 1.0}
    assert set(asked[3:]) == {0.0, 0.125, 0.375, 0.75, 1.25, 1.5}


def test_whole_numbers_that_are_used_up_come_again() -> None:
    given: Space = {"*/layer.0/max_iter": IntDistribution(1, 3)}
    study = optuna.create_study(sampler=TrialSeededSampler(SAMPLERS["grid"], 0, SearchShape(1, 1, 5), given))
    asked = [study.ask(given).params["*/layer.0/max_iter"] for _ in range(5)]
    assert set(asked[:3]) == {1, 2, 3}
    assert set(asked) == {1, 2, 3}
