"""A merge recipe as mergekit YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from search_spaces.merge_recipe import MergeRecipe
from search_spaces.method_signature import SHARED, MethodParameter, ParameterKind


def to_mergekit(recipe: MergeRecipe) -> str:
    """The recipe as a YAML document that `mergekit-yaml` runs to the same weights.

    Not so for random masks (DARE, DELLA): mergekit draws its own, of the same distribution.
    """
    config: dict[str, Any] = {"merge_method": recipe.method, **_models(recipe)}
    shared = _shared_settings(recipe)
    if shared:
        config["parameters"] = shared
    config |= _tokenizer(recipe)
    # Both computed in float32 and rounded once, as here.
    return str(yaml.safe_dump({**config, "dtype": "float32", "out_dtype": recipe.dtype}, sort_keys=False))


def _tokenizer(recipe: MergeRecipe) -> dict[str, Any]:
    """Whose tokens; an average of whole models has no base in mergekit, but unions begin with the base's tokens."""
    source = recipe.tokenizer_source
    if source is None:
        return {}
    base = {"base_model": recipe.base} if recipe.signature.base_has_parameters else {}
    return {**base, "tokenizer_source": recipe.folders.get(source, source)}


def _models(recipe: MergeRecipe) -> dict[str, Any]:
    """`models`, and `base_model` where the method has one."""
    if recipe.signature.merges_a_pair:
        first, second = list(recipe.folders.values())[-2:]
        return {"models": [{"model": first}, {"model": second}], "base_model": first}
    weighed = recipe.weighed_models or tuple(recipe.experts)
    models = [{"model": recipe.folders[model], **_own_settings(recipe, model)} for model in weighed]
    counts_from_base = recipe.signature.merges_task_vectors(recipe.task_vectors)
    return {"models": models} | ({"base_model": recipe.base} if counts_from_base else {})


def _own_settings(recipe: MergeRecipe, model: str) -> dict[str, Any]:
    settings = _settings(recipe, model, recipe.signature.parameters)
    return {"parameters": settings} if settings else {}


def _shared_settings(recipe: MergeRecipe) -> dict[str, Any]:
    """What is given once: the normalisation, what differs from mergekit's defaults, and the numbers of a pair."""
    signature = recipe.signature
    found: dict[str, Any] = {}
    if signature.normalize is not None:
        found[signature.normalize_key] = recipe.normalize
    if signature.merges_a_pair and signature.parameters:
        found |= _settings(recipe, recipe.weighed_models[0], signature.parameters)
    told = tuple(p for p in signature.shared_parameters if any(v != p.default for v in _values(recipe, SHARED, p)))
    return found | _settings(recipe, SHARED, told)


def _settings(recipe: MergeRecipe, owner: str, parameters: tuple[MethodParameter, ...]) -> dict[str, Any]:
    filters = _substrings(recipe.groups)
    return {
        parameter.name: _setting(dict(zip(recipe.groups, _values(recipe, owner, parameter), strict=True)), filters)
        for parameter in parameters
    }


def _values(recipe: MergeRecipe, owner: str, parameter: MethodParameter) -> list[Any]:
    """One value per group, as YAML shall show it."""
    kinds: dict[ParameterKind, type] = {ParameterKind.SWITCH: bool, ParameterKind.INTEGER: int}
    kind = kinds.get(parameter.kind, float)
    return [kind(recipe.values(owner, group)[parameter.name]) for group in recipe.groups]


def _setting(values: Mapping[str, Any], filters: Mapping[str, tuple[str, ...]]) -> Any:
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    rules = [(text, values[group]) for group, texts in filters.items() for text in texts]
    # The first match counts. Prefixes match their own group only; full names, which may be part of
    # another's (`norm.weight`), come last, and the longer before the shorter.
    rules.sort(key=lambda rule: (not rule[0].endswith("."), -len(rule[0])))
    return [{"filter": text, "value": value} for text, value in rules]


def _substrings(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The shortest list of substrings that picks each group's tensors and no others."""
    covers = {}
    for group, members in groups.items():
        others = [name for other, names in groups.items() if other != group for name in names]
        covers[group] = _cover(members, others)
    return covers


def _cover(members: tuple[str, ...], others: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in members:
        if any(text in name for text in found):
            continue
        parts = name.split(".")
        prefixes = [".".join(parts[: i + 1]) + "." for i in range(len(parts) - 1)] + [name]
        # The full name is the last resort, for a group that shares every prefix with another.
        found.append(next((p for p in prefixes if not any(p in other for other in others)), name))
    return tuple(found)
