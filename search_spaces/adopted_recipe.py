"""A recipe of other names, such as one that was read from a file, as a recipe of a search's own space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, Coefficients, MergeRecipe
from search_spaces.method_signature import SHARED, BaseRole

if TYPE_CHECKING:
    from search_spaces.search_space import SearchSpace

# Folder of a recipe's model → the names that a space has for it; a base may be listed as an expert as well.
KnownAs = Mapping[str, tuple[str, ...]]


def adopt_recipe(recipe: MergeRecipe, space: SearchSpace, known_as: KnownAs) -> MergeRecipe:
    """The same merge under the names, seed and dtype of a space.

    An expert of the space that the recipe does not name is not weighed. A normalised average (`linear`) is task
    arithmetic with the models' shares, and is adopted as such where that is the space's method.

    Args:
        recipe: with the groups of the space.
        space: of the search.
        known_as: of every model of the recipe.

    Raises:
        RecipeError: another method or base, a model that the space has not, or a choice that the space has made
            otherwise. Bounds are looked at by `SearchSpace.encode`.
    """
    is_average = (recipe.method, space.options.method) == ("linear", "task_arithmetic") and recipe.normalize
    if not is_average:
        _check_choices(recipe, space)
    own = _own_names(recipe, space, known_as)
    _check_all_are_merged(own, space)
    given: Coefficients = {own.get(owner, owner): by_group for owner, by_group in _all_values(recipe).items()}
    given = _shares(given) if is_average else given
    blank = space.unweighed()
    return replace(
        blank, coefficients={owner: given.get(owner, groups) for owner, groups in blank.coefficients.items()}
    )


def _check_choices(recipe: MergeRecipe, space: SearchSpace) -> None:
    signature, method = space.signature, space.options.method
    if recipe.method != method:
        raise RecipeError(f"Its `merge_method` must be the search's, {method}, but is {recipe.method}.")
    if signature.normalize is not None and recipe.normalize != space.normalize:
        raise RecipeError(
            f"Its `{signature.normalize_key}` must be that of the search, {_said(space.normalize)}, but is "
            f"{_said(recipe.normalize)}: `space.normalize` says which."
        )
    if signature.base is BaseRole.OPTIONAL_ORIGIN and recipe.task_vectors != space.options.task_vectors:
        raise RecipeError(
            f"It must merge task vectors, with a `base_model`, exactly where the search does, but here it is "
            f"{_said(recipe.task_vectors)}: `space.task_vectors` says which."
        )


def _own_names(recipe: MergeRecipe, space: SearchSpace, known_as: KnownAs) -> dict[str, str]:
    """Model of the recipe → the same in the space."""
    own: dict[str, str] = {}
    for model in _merged_models(recipe):
        folder, wanted = recipe.folders[model], _possible_names(recipe, space, model)
        found = [name for name in wanted if name in known_as.get(folder, ()) and name not in own.values()]
        if not found:
            raise RecipeError(
                f"Its model '{folder}' must be {' or '.join(wanted)} of the search's `models`, but is not."
            )
        own[model] = found[0]
    return own


def _merged_models(recipe: MergeRecipe) -> tuple[str, ...]:
    signature = recipe.signature
    has_base = signature.base in (BaseRole.WEIGHED, BaseRole.PARTNER)
    return tuple(recipe.folders if has_base or signature.merges_task_vectors(recipe.task_vectors) else recipe.experts)


def _possible_names(recipe: MergeRecipe, space: SearchSpace, model: str) -> tuple[str, ...]:
    """Which models of the space it may be, by its part in the merge."""
    names = (BASE, *space.experts)
    if recipe.signature.merges_a_pair:
        return (names[-2],) if model == BASE else (names[-1],)
    if recipe.signature.base is BaseRole.WEIGHED:
        return names if model == BASE else (*space.experts, BASE)
    return (BASE,) if model == BASE else tuple(space.experts)


def _check_all_are_merged(own: Mapping[str, str], space: SearchSpace) -> None:
    missing = [model for model in space.experts if model not in own.values()]
    if missing and space.signature.leading is None:
        raise RecipeError(
            f"It must merge every expert of the search, for {space.options.method} weighs none, but lacks "
            f"{', '.join(missing)}."
        )


def _all_values(recipe: MergeRecipe) -> Coefficients:
    return {
        owner: {group: recipe.values(owner, group) for group in recipe.groups}
        for owner in (*recipe.weighed_models, SHARED)
    }


def _shares(weights: Coefficients) -> Coefficients:
    """An average's weights as those of task vectors: Σ wᵢθᵢ / Σ wᵢ = θ₀ + Σ (wᵢ / Σ wᵢ) τᵢ; the base has the rest."""
    experts = {owner: by_group for owner, by_group in weights.items() if owner != SHARED}
    groups = next(iter(experts.values()))
    totals = {group: sum(by_group[group]["weight"] for by_group in experts.values()) for group in groups}
    if not all(totals.values()):
        raise RecipeError("Its weights must not sum to 0, but do.")
    shares = {
        owner: {group: {"weight": values["weight"] / totals[group]} for group, values in by_group.items()}
        for owner, by_group in experts.items()
    }
    return shares | {SHARED: {group: {"lambda": 1.0} for group in groups}}


def _said(value: bool) -> str:
    return str(value).lower()
