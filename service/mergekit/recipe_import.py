"""A mergekit recipe as the specification of a search around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from search_spaces import MergeRecipe, MethodParameter, SearchSpace, SpaceOptions
from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.merge_recipe import BASE, owners
from search_spaces.method_signature import BaseRole, ParameterKind
from search_spaces.parameter_groups import group_parameters
from service.mergekit.imported import ImportedSpecification, ImportOptions, own_name
from service.mergekit.recipe_file import RecipeFile
from service.search.space_options import bounds_rules
from service.search.start_recipes import read_start
from service.specification.schema import SpaceSection

_COARSE_TO_FINE = ("model", "layer", "module", "tensor")
# How far from impossible a probability is kept.
_MARGIN = 0.01


def import_recipe(file: RecipeFile, options: ImportOptions) -> ImportedSpecification:
    """A search of the recipe's method over its models, which begins with the recipe itself.

    Raises:
        RecipeError: see `RecipeFile.recipe`.
        CheckpointError: see `RecipeFile.headers`.
        SpecificationError: there is nothing to search.
    """
    recipe = _named(file.recipe(options.granularity or None))
    space = _space(recipe, options.granularity or _granularity(recipe, file))
    _check(file, recipe, space)
    values: dict[str, Any] = {
        "name": own_name(str(file.configuration.get("name") or file.path.stem)),
        "models": _models(recipe),
        "space": space,
    }
    if options.objectives:
        values["objectives"] = options.objectives
    values["search"] = {"start": [os.path.abspath(file.path)], "evaluations": 100}
    return ImportedSpecification(values, tuple(_notes(file, recipe, options)))


def _models(recipe: MergeRecipe) -> dict[str, Any]:
    found: dict[str, Any] = {"base": recipe.base, "experts": dict(recipe.experts)}
    return found if recipe.tokenizer_source is None else found | {"tokenizer": recipe.tokenizer_source}


def _named(recipe: MergeRecipe) -> MergeRecipe:
    """The same with names that specifications take."""
    names: dict[str, str] = {}
    for expert in recipe.experts:
        names[expert] = own_name(expert, [*names.values(), BASE], "expert")
    values = recipe.to_dict()
    values["experts"] = {names[expert]: folder for expert, folder in recipe.experts.items()}
    values["tokenizer_source"] = names.get(recipe.tokenizer_source or "", recipe.tokenizer_source)
    values["coefficients"] = {names.get(owner, owner): given for owner, given in recipe.coefficients.items()}
    return MergeRecipe.from_dict(values)


def _granularity(recipe: MergeRecipe, file: RecipeFile) -> str:
    names = file.base.merged_names
    return next(each for each in _COARSE_TO_FINE if group_parameters(names, each) == recipe.groups)


def _space(recipe: MergeRecipe, granularity: str) -> dict[str, Any]:
    signature = recipe.signature
    if not signature.all_parameters:
        raise SpecificationError(
            f"A search needs numbers, but {recipe.method} has none: there is one such merge, which "
            "`paretomerge merge` makes of this file."
        )
    found: dict[str, Any] = {"method": recipe.method, "granularity": granularity}
    if signature.normalize is not None and recipe.normalize != signature.normalize:
        found["normalize"] = recipe.normalize
    if signature.base is BaseRole.OPTIONAL_ORIGIN and not recipe.task_vectors:
        found["task_vectors"] = False
    for parameter in signature.all_parameters:
        bounds = _bounds(parameter, sorted(_values(recipe, parameter)))
        if bounds is not None:
            found[parameter.name] = bounds
    if {"density", "epsilon"} <= found.keys() | {p.name for p in signature.parameters}:
        found |= _possible_densities(recipe)
    return found


def _values(recipe: MergeRecipe, parameter: MethodParameter) -> Iterator[float]:
    for owner in owners(recipe.signature, tuple(recipe.experts)):
        if parameter in recipe.signature.parameters_of(owner):
            yield from (recipe.values(owner, group)[parameter.name] for group in recipe.groups)


def _bounds(parameter: MethodParameter, values: list[float]) -> Any:
    """The usual bounds, wide enough for the recipe; what is not searched by itself stays where the recipe has it."""
    least, most = values[0], values[-1]
    if parameter.searched:
        return [min(parameter.low, least), max(parameter.high, most)]
    if least < most:
        return [least, most]
    if least == parameter.default:
        return None
    return bool(least) if parameter.kind is ParameterKind.SWITCH else least


def _possible_densities(recipe: MergeRecipe) -> dict[str, Any]:
    """DELLA's densities as far as `epsilon` leaves them room; a model at full density has no probabilities."""
    own, spread = (recipe.signature.parameter(name) for name in ("density", "epsilon"))
    most = max(_values(recipe, spread))
    whole: list[str] = []
    below: list[float] = []
    for expert in recipe.experts:
        given = {recipe.values(expert, group)["density"] for group in recipe.groups}
        if len(given) > 1 and 1.0 in given:
            raise RecipeError(f"The densities of '{expert}' must all be 1, or all be less, for {recipe.method}.")
        whole += [expert] if 1.0 in given else []
        below += [] if 1.0 in given else given
    if not below:
        return {"density": 1.0}
    low, high = max(own.low, most + _MARGIN), min(own.high, 1 - most - _MARGIN)
    found: dict[str, Any] = {"density": [min(low, *below), max(high, *below)]}
    return found | ({"bounds": [{"expert": expert, "density": 1.0} for expert in whole]} if whole else {})


def _check(file: RecipeFile, recipe: MergeRecipe, space: dict[str, Any]) -> None:
    """What a search would refuse is refused now."""
    section = SpaceSection.model_validate(space | {"bounds": tuple(space.get("bounds", ()))}, strict=False)
    options = SpaceOptions(
        method=section.method,
        granularity=section.granularity,
        rules=bounds_rules(section),
        normalize=section.normalize,
        task_vectors=section.task_vectors,
        tokenizer_source=recipe.tokenizer_source,
    )
    headers = file.headers(recipe)
    names = headers[BASE].merged_names
    read_start([str(file.path)], SearchSpace(recipe.base, recipe.experts, names, options), fronts={})


def _notes(file: RecipeFile, recipe: MergeRecipe, options: ImportOptions) -> Iterator[str]:
    yield from file.notes
    if file.configuration.get("base_model") is None:
        yield f"The recipe has no `base_model`: '{next(iter(file.notations))}', which it names first, is `models.base`."
    for key in ("out_dtype", "dtype"):
        if given := file.configuration.get(key):
            yield (
                f"`{key}: {given}`: candidates, and exports with them, are float32 on a CPU and have the base's dtype "
                f"on a GPU, unless `workers.dtype` says otherwise, such as {recipe.dtype}."
            )
            break
    if not options.objectives:
        yield "A recipe has no objectives: fill in those below, or import again with `--safety` and `--domain`."
