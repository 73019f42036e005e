"""A merge recipe as mergekit YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from search_spaces.merge_recipe import MergeRecipe


def to_mergekit(recipe: MergeRecipe) -> str:
    """The recipe as a YAML document that `mergekit-yaml` runs to the same weights.

    Not so below density 1 in DARE: its masks are random, and mergekit rescales what they keep to the
    task vector's L1 norm, which is 1 / density only on average.
    """
    filters = _substrings(recipe.groups)
    config: dict[str, Any] = {"merge_method": recipe.method}
    if recipe.signature.n_models == 2:
        config |= _pair(recipe, filters)
    else:
        config["models"] = [
            {"model": recipe.folders[model], "parameters": _settings(recipe, model, filters)}
            for model in recipe.weighed_models
        ]
    if recipe.signature.n_models != 2 and not recipe.signature.base_has_parameters:
        config["base_model"] = recipe.base
    if recipe.signature.normalize is not None:
        config["parameters"] = {"normalize": recipe.normalize}
    # Both computed in float32 and rounded once, as here.
    return str(yaml.safe_dump({**config, "dtype": "float32", "out_dtype": recipe.dtype}, sort_keys=False))


def _pair(recipe: MergeRecipe, filters: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    first, second = list(recipe.folders.values())[-2:]
    return {
        "models": [{"model": first}, {"model": second}],
        "base_model": first,
        "parameters": _settings(recipe, recipe.weighed_models[0], filters),
    }


def _settings(recipe: MergeRecipe, model: str, filters: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    by_group = recipe.coefficients[model]
    return {
        parameter.name: _setting({group: by_group[group][parameter.name] for group in recipe.groups}, filters)
        for parameter in recipe.signature.parameters
    }


def _setting(values: Mapping[str, float], filters: Mapping[str, tuple[str, ...]]) -> Any:
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
