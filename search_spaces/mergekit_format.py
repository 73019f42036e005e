"""Merge recipes as mergekit YAML, and mergekit YAML as merge recipes.

mergekit resolves a parameter per tensor: a number holds for all, a list of numbers is a gradient over
the layers, and a list of `{filter, value}` takes the first filter that is a substring of the tensor's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import yaml

from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, MergeRecipe
from search_spaces.method_signatures import METHOD_SIGNATURES, MethodSignature
from search_spaces.parameter_groups import group_parameters, layer_of

_COARSE_TO_FINE = ("model", "layer", "module", "tensor")


# ---- out ----------------------------------------------------------------------------------------


def to_mergekit(recipe: MergeRecipe) -> str:
    """The recipe as a YAML document that `mergekit-yaml` runs to the same weights.

    The masks of DARE are random, so there mergekit gives the same distribution, not the same numbers.
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
    # The first match counts, so that a longer text must stand before one that it contains.
    rules.sort(key=lambda rule: -len(rule[0]))
    return [{"filter": text, "value": value} for text, value in rules]


def _substrings(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The shortest list of substrings that picks each group's tensors and no others."""
    names = [name for members in groups.values() for name in members]
    return {group: _cover(members, [n for n in names if n not in set(members)]) for group, members in groups.items()}


def _cover(members: tuple[str, ...], others: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in members:
        if any(text in name for text in found):
            continue
        parts = name.split(".")
        prefixes = [".".join(parts[: i + 1]) + "." for i in range(len(parts) - 1)] + [name]
        # The full name is the last resort and always serves: no tensor's name is part of another's.
        found.append(next((p for p in prefixes if not any(p in other for other in others)), name))
    return tuple(found)


# ---- in -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Source:
    """One model of one output slice: whose tensors, which layers, and where its settings are looked up."""

    model: str
    layers: tuple[int, int]
    settings: tuple[Mapping[str, Any], ...]

    def value(self, parameter: str, tensor_name: str, default: float | None) -> float:
        for level in self.settings:
            if parameter in level:
                found = _resolve(level[parameter], tensor_name, self._progress(tensor_name))
                if found is not None:
                    return float(found)
        if default is None:
            raise RecipeError(f"`{parameter}` must be given for model '{self.model}', but no setting names it.")
        return default

    def _progress(self, tensor_name: str) -> float:
        layer, (start, end) = layer_of(tensor_name), self.layers
        if layer is None:
            return 0.0 if "embed" in tensor_name else 1.0
        return (layer - start) / (end - start - 1) if end - start > 1 else 1.0


def from_mergekit(text: str, tensor_names: Iterable[str], granularity: str | None = None) -> MergeRecipe:
    """A mergekit configuration as a recipe.

    Args:
        text: the YAML of `mergekit-yaml`, with `models:` or `slices:`.
        tensor_names: of the base model's checkpoint; they decide what a filter means.
        granularity: of the recipe; None takes the coarsest that can express the configuration.

    Raises:
        RecipeError: not such a configuration, a method not known here, layers stacked or left
            out, or settings finer than the granularity.
    """
    config = _parse(text)
    names = sorted(tensor_names)
    signature = METHOD_SIGNATURES[config["merge_method"]]
    slices = _slices(config, n_layers=1 + max((layer_of(name) or 0 for name in names), default=0))
    models = _models(config, slices, signature)
    values = {name: _tensor_values(name, slices, models, signature) for name in names}
    recipe_models = {model: alias for alias, model in models.items()}
    for candidate in (granularity,) if granularity else _COARSE_TO_FINE:
        groups = group_parameters(names, candidate)
        if all(len({repr(values[name]) for name in members}) == 1 for members in groups.values()):
            return _recipe(config, signature, recipe_models, groups, values)
    raise RecipeError(
        f"The configuration's settings differ within groups of granularity '{granularity}'; take a finer one."
    )


def _parse(text: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"A mergekit configuration must be YAML, but it cannot be parsed: {error}") from None
    if not isinstance(config, dict) or "merge_method" not in config:
        raise RecipeError("A mergekit configuration must be a mapping with `merge_method`, but it is not.")
    if config["merge_method"] not in METHOD_SIGNATURES:
        raise RecipeError(
            f"`merge_method` must be one of {', '.join(METHOD_SIGNATURES)}, but got '{config['merge_method']}'."
        )
    if ("models" in config) == ("slices" in config):
        raise RecipeError("A mergekit configuration must have either `models` or `slices`.")
    return config


def _slices(config: Mapping[str, Any], n_layers: int) -> list[list[_Source]]:
    common = config.get("parameters") or {}
    if "models" in config:
        return [[_source(entry, (0, n_layers), ({}, common)) for entry in config["models"]]]
    slices, reached = [], 0
    for entry in config["slices"]:
        levels = (entry.get("parameters") or {}, common)
        slices.append([_source(source, tuple(source["layer_range"]), levels) for source in entry["sources"]])
        ranges = {source.layers for source in slices[-1]}
        if len(ranges) != 1 or next(iter(ranges))[0] != reached:
            raise RecipeError("`slices` must keep every layer in its place: stacked or reordered layers are no merge.")
        reached = next(iter(ranges))[1]
    if reached != n_layers:
        raise RecipeError(f"`slices` must cover the {n_layers} layers of the base, but end at {reached}.")
    return slices


def _source(entry: Mapping[str, Any], layers: Sequence[int], levels: tuple[Mapping[str, Any], ...]) -> _Source:
    start, end = layers
    return _Source(str(entry["model"]), (start, end), (entry.get("parameters") or {}, *levels))


def _models(config: Mapping[str, Any], slices: list[list[_Source]], signature: MethodSignature) -> dict[str, str]:
    """Path → name in the recipe, base first."""
    listed = list(dict.fromkeys(source.model for sources in slices for source in sources))
    base = config.get("base_model")
    if base is None and not signature.base_has_parameters:
        raise RecipeError(f"'{signature.name}' needs `base_model`, but the configuration names none.")
    base = str(base or listed[0])
    named = {base: BASE}
    for path in (path for path in listed if path != base):
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePath(path).name) or "expert"
        taken = set(named.values())
        named[path] = next(n for n in [stem, *(f"{stem}_{i}" for i in range(2, 99))] if n not in taken)
    return named


def _tensor_values(
    name: str, slices: list[list[_Source]], models: Mapping[str, str], signature: MethodSignature
) -> dict[str, dict[str, float]]:
    """Model → parameter → value for one tensor."""
    sources = {models[source.model]: source for source in _slice_of(name, slices)}
    if signature.n_models == 2:
        other = [model for model in models.values() if model != BASE][-1]
        return {other: {"t": next(iter(sources.values())).value("t", name, None)}}
    found = {}
    for model in models.values():
        if model == BASE and not signature.base_has_parameters:
            continue
        absent = model not in sources
        found[model] = {
            p.name: 0.0
            if absent and p.name == "weight"
            else 1.0
            if absent
            else sources[model].value(p.name, name, 1.0 if p.name == "density" else None)
            for p in signature.parameters
        }
    return found


def _slice_of(name: str, slices: list[list[_Source]]) -> list[_Source]:
    layer = layer_of(name)
    if layer is None:
        return slices[0] if "embed" in name else slices[-1]
    return next(sources for sources in slices if sources[0].layers[0] <= layer < sources[0].layers[1])


def _resolve(setting: Any, tensor_name: str, progress: float) -> Any:
    if not isinstance(setting, list):
        return setting
    if all(isinstance(entry, int | float) for entry in setting):
        return _interpolate(setting, progress)
    for entry in setting:
        if entry.get("filter") in (None, "*") or entry["filter"] in tensor_name:
            return _resolve(entry["value"], tensor_name, progress)
    return None


def _interpolate(knots: Sequence[float], progress: float) -> float:
    place = progress * (len(knots) - 1)
    left = min(int(place), len(knots) - 2) if len(knots) > 1 else 0
    right = min(left + 1, len(knots) - 1)
    return knots[left] + (place - left) * (knots[right] - knots[left])


def _recipe(
    config: Mapping[str, Any],
    signature: MethodSignature,
    models: Mapping[str, str],
    groups: Mapping[str, tuple[str, ...]],
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> MergeRecipe:
    settings = config.get("parameters") or {}
    weighed = next(iter(values.values()))
    recipe = MergeRecipe(
        method=signature.name,
        base=models[BASE],
        experts={alias: path for alias, path in models.items() if alias != BASE},
        groups=groups,
        coefficients={m: {g: dict(values[members[0]][m]) for g, members in groups.items()} for m in weighed},
        normalize=bool(settings.get("normalize", signature.normalize)),
        dtype=str(config.get("out_dtype") or config.get("dtype") or "bfloat16"),
    )
    scale = float(settings.get("lambda", 1.0))
    return recipe if scale == 1.0 else _scaled(recipe, scale)


def _scaled(recipe: MergeRecipe, scale: float) -> MergeRecipe:
    if recipe.normalize or recipe.signature.base_has_parameters:
        raise RecipeError(f"`lambda: {scale:g}` cannot be expressed where weights are normalised; set it to 1.")
    scaled = {
        model: {g: {**values, "weight": values["weight"] * scale} for g, values in by_group.items()}
        for model, by_group in recipe.coefficients.items()
    }
    return replace(recipe, coefficients=scaled)
