"""Landmarks are known points: each model alone, averages, plain task arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from search_spaces import METHOD_SIGNATURES, BoundsRule, MergeRecipe, SearchSpace
from search_spaces.errors import RecipeError
from search_spaces.landmarks import landmark_weights
from search_spaces.method_signature import BaseRole

METHODS = pytest.mark.parametrize("method", [name for name, each in METHOD_SIGNATURES.items() if each.all_parameters])
# Whose leading parameter says how much of each model is merged.
WEIGHED = {n for n, s in METHOD_SIGNATURES.items() if s.leading is not None and n != "nearswap"}
N_EXPERTS = pytest.mark.parametrize("n_experts", [1, 2, 3])
MakeSpace = Callable[..., SearchSpace]


def experts_for(method: str, n_experts: int) -> int:
    signature = METHOD_SIGNATURES[method]
    return max(signature.min_experts, min(n_experts, signature.max_experts or n_experts))


def recipes(space: SearchSpace) -> dict[str, MergeRecipe]:
    return {landmark.name: landmark.recipe for landmark in space.landmarks()}


def values(recipe: MergeRecipe, model: str, parameter: str) -> set[float]:
    return {group[parameter] for group in recipe.coefficients[model].values()}


@METHODS
@N_EXPERTS
def test_landmarks_are_distinct(method: str, n_experts: int, make_space: MakeSpace) -> None:
    found = make_space(method, n_experts=experts_for(method, n_experts)).landmarks()
    assert len({landmark.name for landmark in found}) == len(found)
    assert len({repr(landmark.recipe) for landmark in found}) == len(found)


@METHODS
@N_EXPERTS
def test_landmarks_lie_within_the_default_bounds(method: str, n_experts: int, make_space: MakeSpace) -> None:
    space = make_space(method, n_experts=experts_for(method, n_experts))
    for landmark in space.landmarks():
        # A model alone is itself at density 1, which DELLA's probabilities leave no room for.
        if method.startswith("della") and landmark.name in space.experts:
            continue
        assert space.decode(space.encode(landmark.recipe)) == landmark.recipe


@pytest.mark.parametrize("method", sorted(WEIGHED))
@N_EXPERTS
def test_every_mergeable_model_alone_is_a_landmark(method: str, n_experts: int, make_space: MakeSpace) -> None:
    space = make_space(method, n_experts=experts_for(method, n_experts))
    signature = METHOD_SIGNATURES[method]
    pair = signature.merges_a_pair and len(space.experts) == 2
    has_base = signature.base not in (BaseRole.ABSENT, BaseRole.OPTIONAL_ORIGIN) and not pair
    alone = ["base", *space.experts] if has_base else list(space.experts)
    assert [landmark.name for landmark in space.landmarks()][: len(alone)] == alone


@pytest.mark.parametrize("method", sorted(WEIGHED))
def test_a_model_alone_has_weight_one_at_full_density(method: str, make_space: MakeSpace) -> None:
    space = make_space(method)
    name = list(space.experts)[-1]
    recipe = recipes(space)[name]
    for parameter in METHOD_SIGNATURES[method].parameters:
        if parameter.name in ("weight", "t", "scale", "density"):
            assert values(recipe, name, parameter.name) == {1.0}


@pytest.mark.parametrize("method", sorted(METHOD_SIGNATURES.keys() - WEIGHED - {"arcee_fusion", "nearswap"}))
def test_what_weighs_no_model_has_its_defaults_as_a_landmark(method: str, make_space: MakeSpace) -> None:
    (recipe,) = recipes(make_space(method)).values()
    for parameter in METHOD_SIGNATURES[method].shared_parameters:
        assert values(recipe, "*", parameter.name) == {parameter.default}


def test_nearswap_at_zero_is_its_first_model(make_space: MakeSpace) -> None:
    assert {name: values(recipe, "chat", "t") for name, recipe in recipes(make_space("nearswap")).items()} == {
        "medical": {0.0}
    }


@pytest.mark.parametrize("method", sorted(WEIGHED))
def test_landmarks_outside_narrow_bounds_name_the_parameter(method: str, make_space: MakeSpace) -> None:
    parameter = METHOD_SIGNATURES[method].parameters[0].name
    space = make_space(method, rules=(BoundsRule({parameter: (0.61, 0.62)}),))
    for recipe in recipes(space).values():
        with pytest.raises(RecipeError, match=rf"`\w+/\w+/{parameter}` must be in \[0.61, 0.62\]"):
            space.encode(recipe)


def test_only_landmarks_within_bounds_can_be_encoded(make_space: MakeSpace) -> None:
    space = make_space(rules=(BoundsRule({"weight": (0.25, 0.45)}),))
    outside = ["base", "medical", "chat", "uniform average"]
    assert list(recipes(space)) == [*outside, "task arithmetic 0.3", "task arithmetic 0.4"]
    assert space.encode(recipes(space)["task arithmetic 0.4"]).keys() == space.distributions().keys()
    for name in outside:
        with pytest.raises(RecipeError, match=re.escape("/weight` must be in [0.25, 0.45]")):
            space.encode(recipes(space)[name])


@pytest.mark.parametrize("n_experts", [1, 2])
def test_mixtures_take_the_densest_within_bounds(n_experts: int, make_space: MakeSpace) -> None:
    rules = (BoundsRule({"density": (0.2, 0.7)}),)
    space = make_space("dare_linear", n_experts=n_experts, rules=rules)
    recipe = recipes(space)["task arithmetic 0.4"]
    assert values(recipe, "medical", "density") == {0.7}
    assert values(recipe, "medical", "weight") == {0.4}
    assert space.encode(recipe)


def test_uniform_average_gives_every_expert_its_share(make_space: MakeSpace) -> None:
    recipe = recipes(make_space("ties", n_experts=3))["uniform average"]
    assert all(values(recipe, expert, "weight") == {1 / 3} for expert in recipe.experts)


def test_base_alone_is_weight_zero_or_weight_one(make_space: MakeSpace) -> None:
    arithmetic, linear = (recipes(make_space(method))["base"] for method in ("task_arithmetic", "linear"))
    assert all(values(arithmetic, expert, "weight") == {0.0} for expert in arithmetic.experts)
    assert all(values(linear, expert, "weight") == {0.0} for expert in linear.experts)
    assert values(linear, "base", "weight") == {1.0}


def test_a_pair_has_its_ends_and_the_middle(make_space: MakeSpace) -> None:
    one, two = (recipes(make_space("slerp", n_experts=n)) for n in (1, 2))
    assert {name: values(recipe, "medical", "t") for name, recipe in one.items()} == {
        "base": {0.0},
        "medical": {1.0},
        "half way": {0.5},
    }
    assert list(two) == ["medical", "chat", "half way"]


@pytest.mark.parametrize(
    ("method", "normalize", "expected"),
    [
        ("task_arithmetic", False, ["task arithmetic 0.3", "task arithmetic 0.4", "task arithmetic 0.5"]),
        ("task_arithmetic", True, []),
        ("linear", False, []),
    ],
)
def test_task_arithmetic_needs_task_vectors(method: str, normalize: bool, expected: list[str]) -> None:
    found: Mapping[str, object] = landmark_weights(METHOD_SIGNATURES[method], ("a", "b", "c"), normalize)
    assert [name for name in found if name.startswith("task arithmetic")] == expected


def test_uniform_average_of_two_is_task_arithmetic_at_a_half() -> None:
    found = landmark_weights(METHOD_SIGNATURES["task_arithmetic"], ("a", "b"), normalize=False)
    assert found["uniform average"] == {"a": 0.5, "b": 0.5}
    assert "task arithmetic 0.5" not in found
