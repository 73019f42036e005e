"""The cases of parity: every registered method has some, and every number and choice of it is tried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.parity.cases import PLACES, cases_of, recipe_of, settings_of
from scripts.parity.small_checkpoints import EXPERTS, FAMILIES
from search_spaces import METHOD_SIGNATURES, MergeRecipe
from search_spaces.merge_recipe import BASE, owners

METHODS = sorted(METHOD_SIGNATURES)
FOLDERS = {name: f"/models/{name}" for name in (BASE, *EXPERTS)}
NAMES = ("model.embed_tokens.weight", *(f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)), "model.norm.weight")


def recipes_of(method: str) -> Iterator[MergeRecipe]:
    return (recipe_of(case, FOLDERS, NAMES) for case in cases_of(method))


@pytest.mark.parametrize("method", METHODS)
def test_every_case_is_a_recipe_of_its_own(method: str) -> None:
    recipes = [repr(recipe) for recipe in recipes_of(method)]
    assert len(set(recipes)) == len(recipes) == len(settings_of(method)) * len(PLACES)
    assert len({setting.words for setting in settings_of(method)}) == len(settings_of(method))


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_tried_at_several_values(method: str) -> None:
    signature = METHOD_SIGNATURES[method]
    seen: dict[str, set[float]] = {parameter.name: set() for parameter in signature.all_parameters}
    for recipe in recipes_of(method):
        for owner in owners(signature, tuple(recipe.experts)):
            for group in recipe.groups:
                for name, value in recipe.values(owner, group).items():
                    seen[name].add(value)
    random = {"density", "epsilon", "rescale"} if signature.stochastic else set()  # with masks: see mask_parity
    assert [name for name, values in seen.items() if len(values) < 2 and name not in random] == []


@pytest.mark.parametrize("method", [name for name in METHODS if METHOD_SIGNATURES[name].normalize is not None])
def test_both_choices_of_normalize_are_tried(method: str) -> None:
    assert {recipe.normalize for recipe in recipes_of(method)} == {False, True}


def test_every_family_is_merged_into_several_dtypes() -> None:
    tried = {family.name: {place.dtype for place in PLACES if place.family == family.name} for family in FAMILIES}
    assert all(len(dtypes) > 1 for dtypes in tried.values())
    assert set.union(*tried.values()) == {"float32", "bfloat16", "float16"}
