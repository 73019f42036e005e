"""Recipes from what is known of the models alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import from_mergekit, to_mergekit
from search_spaces.errors import RecipeError
from search_spaces.recipe_sources import average_recipe, cocktail_weights

NAMES = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight")
MODELS = {"base": "/models/start", "chat": "/models/chat", "code": "/models/code"}

losses = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e6), min_size=1)
temperatures = st.floats(1e-3, 1e6)


@given(losses, temperatures)
def test_weights_are_shares_that_follow_the_losses(given_losses: dict[str, float], temperature: float) -> None:
    weights = cocktail_weights(given_losses, temperature)
    assert weights.keys() == given_losses.keys()
    assert math.isclose(math.fsum(weights.values()), 1)
    by_loss = sorted(weights, key=lambda model: given_losses[model])
    assert [weights[model] for model in by_loss] == sorted(weights.values(), reverse=True)


@given(st.floats(0, 100), temperatures)
def test_equal_losses_have_equal_weights(loss: float, temperature: float) -> None:
    assert cocktail_weights(dict.fromkeys("abcd", loss), temperature) == dict.fromkeys("abcd", 0.25)


@given(st.floats(-10, 10))
def test_only_differences_count(shift: float) -> None:
    moved = cocktail_weights({"a": 1 + shift, "b": 3 + shift})
    assert moved == pytest.approx(cocktail_weights({"a": 1, "b": 3}))


def test_a_large_temperature_is_the_uniform_average() -> None:
    assert cocktail_weights({"a": 1, "b": 9}, 1e9) == pytest.approx({"a": 0.5, "b": 0.5})


def test_a_small_temperature_is_the_best_alone() -> None:
    assert cocktail_weights({"a": 1, "b": 1.1, "c": 9}, 1e-3) == pytest.approx({"a": 1, "b": 0, "c": 0})


def test_temperature_divides_losses() -> None:
    weights = cocktail_weights({"a": 1, "b": 6}, temperature=5)
    assert weights["a"] / weights["b"] == pytest.approx(math.e)


@pytest.mark.parametrize("temperature", [0, -1, math.inf, math.nan])
def test_a_temperature_that_cannot_be_is_refused(temperature: float) -> None:
    with pytest.raises(RecipeError, match="`temperature` must be a finite number above 0, but got"):
        cocktail_weights({"a": 1}, temperature)


@pytest.mark.parametrize(
    ("given_losses", "got"), [({}, "no models"), ({"a": math.nan, "b": 1}, "nan for 'a'"), ({"a": math.inf}, "inf")]
)
def test_losses_that_are_none_are_refused(given_losses: dict[str, float], got: str) -> None:
    with pytest.raises(RecipeError, match=f"must have a finite loss, but got {got}"):
        cocktail_weights(given_losses)


def test_an_average_is_a_recipe_of_mergekits() -> None:
    recipe = average_recipe(MODELS, NAMES, {"chat": 0.25, "code": 0.75}, "float16")
    assert recipe.values("base", "model") == {"weight": 0}
    assert from_mergekit(to_mergekit(recipe), NAMES).coefficients == recipe.coefficients
