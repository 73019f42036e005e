"""A recipe is complete or refused, and the same after any passage."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace
from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, owners, weighed_models

METHODS = pytest.mark.parametrize("method", [name for name, each in METHOD_SIGNATURES.items() if each.all_parameters])
GROUPS = {"low": ("a", "b"), "high": ("c",)}
MakeSpace = Callable[..., SearchSpace]


def recipe(weight: Any = 0.5, method: str = "task_arithmetic", **changes: Any) -> MergeRecipe:
    parameters = {parameter.name: 0.5 for parameter in METHOD_SIGNATURES[method].parameters} | {"weight": weight}
    fields = {
        "method": method,
        "base": "/models/start",
        "experts": {"medical": "/models/medical"},
        "groups": GROUPS,
        "coefficients": {model: dict.fromkeys(GROUPS, parameters) for model in (BASE, "medical")},
    }
    return MergeRecipe(**{**fields, **changes})


@METHODS
def test_json_round_trip(method: str, make_space: MakeSpace) -> None:
    for landmark in make_space(method, "module", seed=3, dtype="float16").landmarks():
        back = MergeRecipe.from_dict(json.loads(json.dumps(landmark.recipe.to_dict())))
        assert back == landmark.recipe
        assert list(back.experts) == list(landmark.recipe.experts)
        assert list(back.groups) == list(landmark.recipe.groups)


@METHODS
def test_pickle_round_trip(method: str, make_space: MakeSpace) -> None:
    for landmark in make_space(method, "module").landmarks():
        back = pickle.loads(pickle.dumps(landmark.recipe))
        assert back == landmark.recipe
        assert list(back.experts) == list(landmark.recipe.experts)


def test_dict_is_a_copy() -> None:
    given = recipe()
    given.to_dict()["experts"]["medical"] = "/models/other"
    assert given.experts == {"medical": "/models/medical"}


def test_recipe_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError, match="method"):
        recipe().method = "ties"  # type: ignore[misc]


def test_folders_have_the_base_first() -> None:
    experts = {"z": "/models/z", "a": "/models/a"}
    assert list(weighed_models(METHOD_SIGNATURES["linear"], tuple(experts))) == [BASE, "z", "a"]
    assert list(recipe(experts={"medical": "/models/medical"}).folders) == [BASE, "medical"]


@METHODS
def test_owners_are_those_with_coefficients(method: str, make_space: MakeSpace) -> None:
    found = make_space(method).landmarks()[0].recipe
    assert tuple(found.coefficients) == owners(found.signature, tuple(found.experts))
    assert [owner for owner in found.coefficients if owner != "*"] == list(found.weighed_models)
    assert (BASE in found.weighed_models) == METHOD_SIGNATURES[method].base_has_parameters


def test_a_pair_is_led_towards_its_last_model() -> None:
    assert weighed_models(METHOD_SIGNATURES["slerp"], ("medical", "chat")) == ("chat",)


def test_unknown_method_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"`method` must be one of linear, .* but got 'soup'"):
        replace(recipe(), method="soup")


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"`dtype` must be one of float32, .* but got 'int8'"):
        recipe(dtype="int8")


def test_no_expert_is_refused() -> None:
    with pytest.raises(RecipeError, match="`experts` must name at least one model"):
        recipe(experts={})


def test_expert_named_like_the_base_is_refused() -> None:
    with pytest.raises(RecipeError, match="`experts` must not be named 'base'"):
        recipe(experts={"base": "/models/medical"})


def test_third_model_of_a_pair_is_refused() -> None:
    experts = {name: f"/models/{name}" for name in ("medical", "chat", "code")}
    with pytest.raises(RecipeError, match=r"'slerp' merges two models.*got 3 experts: medical, chat, code"):
        recipe(method="slerp", experts=experts)


@pytest.mark.parametrize("coefficients", [{}, {"medical": {}}, {"medical": {"low": {"weight": 1.0}}}])
def test_missing_coefficient_is_refused(coefficients: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"lacks `weight` of model 'medical' for group '(low|high)'"):
        recipe(coefficients=coefficients)


def test_missing_parameter_is_refused() -> None:
    coefficients = {"medical": {group: {"density": 1.0} for group in GROUPS}}
    with pytest.raises(RecipeError, match="lacks `weight` of model 'medical' for group 'low'"):
        recipe(method="ties", coefficients=coefficients)


def test_what_has_a_default_may_be_left_out() -> None:
    coefficients = {"medical": {group: {"weight": 1.0} for group in GROUPS}}
    found = recipe(method="breadcrumbs", coefficients=coefficients)
    assert found.values("medical", "low") == {"weight": 1.0, "density": 1.0, "gamma": 0.01}
    assert found.values("*", "low") == {"lambda": 1.0, "rescale": 0.0}


@pytest.mark.parametrize(
    ("method", "n_experts", "message"),
    [
        ("nuslerp", 1, r"'nuslerp' merges exactly 2 experts, but got 1 expert: a. Use another method, or more experts"),
        ("nuslerp", 3, r"'nuslerp' merges exactly 2 experts, but got 3 experts: a, b, c.*or fewer experts"),
        ("model_stock", 1, r"'model_stock' merges at least 2 experts, but got 1 expert: a"),
        ("passthrough", 2, r"'passthrough' merges exactly 1 expert, but got 2 experts: a, b"),
        ("arcee_fusion", 3, r"'arcee_fusion' merges two models.*got 3 experts: a, b, c"),
    ],
)
def test_wrong_number_of_experts_is_refused(method: str, n_experts: int, message: str) -> None:
    experts = {name: f"/models/{name}" for name in ("a", "b", "c")[:n_experts]}
    with pytest.raises(RecipeError, match=message):
        recipe(method=method, experts=experts)


def test_a_switch_is_on_or_off() -> None:
    experts = {name: f"/models/{name}" for name in ("a", "b")}
    coefficients = {"*": {group: {"filter_wise": 0.5} for group in GROUPS}}
    with pytest.raises(
        RecipeError, match=r"`filter_wise` of 'model_stock' must be a whole number, but got 0.5 for all"
    ):
        recipe(method="model_stock", experts=experts, coefficients=coefficients)


def test_probabilities_beyond_certainty_are_refused() -> None:
    values = {"weight": 1.0, "density": 0.9, "epsilon": 0.15}
    with pytest.raises(RecipeError, match=r"must lie between 0 and 1 .* but got 0.9 and 0.15 for model 'medical'"):
        recipe(method="della", coefficients={"medical": dict.fromkeys(GROUPS, values)})


def test_base_needs_coefficients_where_it_is_weighed() -> None:
    with pytest.raises(RecipeError, match="lacks `weight` of model 'base'"):
        recipe(method="linear", coefficients={"medical": {group: {"weight": 1.0} for group in GROUPS}})


@pytest.mark.parametrize("weight", [10.5, -11.0, float("nan"), float("inf")])
def test_impossible_value_is_refused(weight: float) -> None:
    with pytest.raises(
        RecipeError, match=rf"`weight` .* must be in \[-10, 10\], but got {weight:g} for model 'medical'"
    ):
        recipe(weight)


def test_range_is_the_methods_own() -> None:
    assert recipe(-0.5).coefficients["medical"]["low"]["weight"] == -0.5
    with pytest.raises(RecipeError, match=r"`weight` of 'linear' must be in \[0, 10\], but got -0.5"):
        recipe(-0.5, method="linear")
