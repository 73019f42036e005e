"""Parameters of many groups as one number per model."""

from __future__ import annotations

import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from service.samplers.model_axes import ModelAxes

GROUPS = ("embeddings", "layer.0", "layer.10")


def space(parameters: dict[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    owners = {name: ("*",) if name in ("lambda", "rescale") else ("chat", "medical") for name in parameters}
    return {f"{o}/{g}/{name}": d for name, d in parameters.items() for o in owners[name] for g in GROUPS}


TIES = space(
    {
        "weight": FloatDistribution(0.0, 1.5),
        "density": FloatDistribution(0.1, 0.9),
        "lambda": FloatDistribution(0.5, 1.5),
        "rescale": IntDistribution(0, 1),
    }
)


def test_one_weight_and_one_density_per_model() -> None:
    axes = ModelAxes(TIES)
    assert [axis.owner for axis in axes.weights] == [axis.owner for axis in axes.densities] == ["chat", "medical"]
    assert len(axes.all) == 6


def test_a_value_stands_in_every_group_and_the_rest_is_constant() -> None:
    axes = ModelAxes(TIES)
    params = axes.params(dict(zip(axes.weights, (0.3, 0.7), strict=True)))
    assert list(params) == list(TIES)
    assert {value for name, value in params.items() if name.startswith("chat") and name.endswith("weight")} == {0.3}
    assert {value for name, value in params.items() if name.endswith("density")} == {0.9}
    assert {value for name, value in params.items() if name.startswith("*")} == {1.0, 0}


def test_chosen_is_the_inverse_of_params() -> None:
    axes = ModelAxes(TIES)
    chosen = dict.fromkeys((*axes.weights, *axes.densities), 0.4)
    assert axes.chosen((*axes.weights, *axes.densities), axes.params(chosen)) == chosen


@pytest.mark.parametrize("value", [-0.9, 0.0, 0.6, 1.4])
def test_groups_are_clipped_to_their_own_bounds(value: float) -> None:
    lows_highs = [(-1.0, 1.0), (0.0, 1.5), (0.2, 0.4)]
    bounds = dict(zip(GROUPS, lows_highs, strict=True))
    axes = ModelAxes({f"chat/{group}/weight": FloatDistribution(*bounds[group]) for group in GROUPS})
    params = axes.params({axes.weights[0]: value})
    assert list(params.values()) == [min(max(value, low), high) for low, high in bounds.values()]
    assert axes.chosen(axes.weights, params) == {axes.weights[0]: value}


def test_no_value_stands_for_groups_that_differ() -> None:
    axes = ModelAxes(TIES)
    params = axes.params({}) | {"chat/layer.0/weight": 0.1}
    assert axes.chosen(axes.weights, params) is None


def test_a_trial_without_parameters_stands_for_nothing() -> None:
    axes = ModelAxes(TIES)
    assert axes.chosen(axes.weights, {}) is None


def test_where_nothing_weighs_models_all_parameters_count() -> None:
    axes = ModelAxes(space({"filter_wise": IntDistribution(0, 1)}))
    assert axes.weights == axes.all
    assert axes.params({}) == dict.fromkeys(axes.params({}), 0)
