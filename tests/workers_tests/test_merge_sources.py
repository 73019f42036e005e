"""What is merged: tensors in one order, each with the numbers of its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint
from workers.merge_sources import MergeSources

MakeRecipe = Callable[..., MergeRecipe]


@pytest.fixture(scope="module")
def sources(models: dict[str, str]) -> MergeSources:
    checkpoints = {name: MappedCheckpoint(folder) for name, folder in models.items()}
    return MergeSources(checkpoints, checkpoints[BASE].header.merged_names, "float32")


@pytest.fixture
def recipe(make_recipe: MakeRecipe) -> MergeRecipe:
    """Every other tensor has another weight."""
    recipe = make_recipe("task_arithmetic", weight=0.0)
    (names,) = recipe.groups.values()
    by_group = {"odd": {"weight": 0.25}, "even": {"weight": 0.75}}
    groups = {"odd": names[1::2], "even": names[::2]}
    return replace(recipe, groups=groups, coefficients={"aligned": by_group, "expert": by_group})


def test_tensors_come_in_one_order_whatever_the_groups_are(sources: MergeSources, recipe: MergeRecipe) -> None:
    names = sources.checkpoints[BASE].header.merged_names
    assert tuple(tensors.name for tensors, _ in sources.of(recipe)) == names


def test_each_tensor_has_the_numbers_of_its_group(sources: MergeSources, recipe: MergeRecipe) -> None:
    weights = {tensors.name: parameters.values("weight") for tensors, parameters in sources.of(recipe)}
    assert {weights[name] for name in recipe.groups["odd"]} == {(0.25, 0.25)}
    assert {weights[name] for name in recipe.groups["even"]} == {(0.75, 0.75)}


def test_a_recipe_that_does_not_fit_is_refused_before_the_first_tensor(
    sources: MergeSources, recipe: MergeRecipe
) -> None:
    with pytest.raises(RecipeError, match=r"`dtype` must be the candidate's, float32, but is float16"):
        sources.of(replace(recipe, dtype="float16"))
    with pytest.raises(RecipeError, match="must hold the model's tensors, but differ in "):
        sources.of(replace(recipe, groups={"odd": recipe.groups["odd"], "even": ()}))
