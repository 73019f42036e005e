"""mergekit YAML as a merge recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import PurePath
from typing import Any

import yaml

from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, MergeRecipe, weighed_models
from search_spaces.mergekit_format.checked_values import as_mapping, as_number, as_sequence, as_switch
from search_spaces.method_signatures import METHOD_SIGNATURES, MethodSignature
from search_spaces.parameter_groups import group_parameters, is_embedding, layer_of

_COARSE_TO_FINE = ("model", "layer", "module", "tensor")

_KEYS = ("merge_method", "base_model", "models", "slices", "parameters", "dtype", "out_dtype", "name")
_TOKENIZER_KEYS = ("tokenizer", "tokenizer_source", "chat_template")
# What a model that a slice does not list adds to it.
_ABSENT = {"weight": 0.0, "density": 1.0}


@dataclass(frozen=True, slots=True)
class _Source:
    """One model of one output slice: whose tensors, which layers, and where its settings are looked up."""

    model: str
    layers: tuple[int, int]
    settings: tuple[Mapping[str, Any], ...]

    def value(self, parameter: str, tensor_name: str, default: float | None) -> float:
        for level in self.settings:
            if parameter in level:
                found = _resolve(level[parameter], parameter, tensor_name, self._progress(tensor_name))
                if found is not None:
                    return found
        if default is None:
            raise RecipeError(
                f"`{parameter}` must be given for model '{self.model}', but no setting covers '{tensor_name}'."
            )
        return default

    def _progress(self, tensor_name: str) -> float:
        layer, (start, end) = layer_of(tensor_name), self.layers
        if layer is None:
            # Embeddings, final norm and head alike: mergekit 0.1.5 resolves them all at the beginning.
            return 0.0
        return (layer - start) / (end - start - 1) if end - start > 1 else 1.0


def from_mergekit(text: str, tensor_names: Iterable[str], granularity: str | None = None) -> MergeRecipe:
    """A mergekit configuration as a recipe.

    Its tokenizer settings have no part in a recipe: a merge has the base's tokenizer.

    Args:
        text: the YAML of `mergekit-yaml`, with `models:` or `slices:`.
        tensor_names: of the base model's checkpoint; they decide what a filter means.
        granularity: of the recipe; None takes the coarsest that can express the configuration.

    Raises:
        RecipeError: not such a configuration, a method or parameter not known here, layers stacked
            or left out, or settings finer than the granularity.
    """
    config = _parse(text)
    names = sorted(tensor_names)
    signature = METHOD_SIGNATURES[config["merge_method"]]
    slices = _slices(config, n_layers=1 + max((layer_of(name) or 0 for name in names), default=0))
    _check_parameters(slices, signature)
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


def _parse(text: str) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(text)
    # PyYAML lets the errors of a date or a number that is none pass, and those of endless nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"A mergekit configuration must be YAML, but it cannot be parsed: {error}") from None
    if not isinstance(config, dict) or "merge_method" not in config:
        raise RecipeError("A mergekit configuration must be a mapping with `merge_method`, but it is not.")
    if str(config["merge_method"]) not in METHOD_SIGNATURES:
        raise RecipeError(
            f"`merge_method` must be one of {', '.join(METHOD_SIGNATURES)}, but got '{config['merge_method']}'."
        )
    if ("models" in config) == ("slices" in config):
        raise RecipeError("A mergekit configuration must have either `models` or `slices`.")
    if not isinstance(config.get("base_model"), str | None):
        raise RecipeError(f"`base_model` must be a folder or a hub id, but got {config['base_model']!r}.")
    return as_mapping(config, "the configuration", (*_KEYS, *_TOKENIZER_KEYS))


def _slices(config: Mapping[str, Any], n_layers: int) -> list[list[_Source]]:
    common = as_mapping(config.get("parameters"), "parameters")
    if "models" in config:
        return [_whole(config, (0, n_layers), common)]
    slices: list[list[_Source]] = []
    reached = 0
    for entry in as_sequence(config["slices"], "slices"):
        given = as_mapping(entry, "slices", ("sources", "parameters"))
        levels = (as_mapping(given.get("parameters"), "parameters"), common)
        sources = [
            _source(source, _layer_range(source), levels) for source in as_sequence(given.get("sources"), "sources")
        ]
        start, end = sources[0].layers
        if not reached == start < end or any(source.layers != (start, end) for source in sources):
            raise RecipeError("`slices` must keep every layer in its place: stacked or reordered layers are no merge.")
        slices.append(sources)
        reached = end
    if reached != n_layers:
        raise RecipeError(f"`slices` must cover the {n_layers} layers of the base, but end at {reached}.")
    return slices


def _whole(config: Mapping[str, Any], layers: tuple[int, int], common: Mapping[str, Any]) -> list[_Source]:
    """The one slice of `models`; as in mergekit, the base is among them whether listed or not."""
    sources = [_source(entry, layers, (common,)) for entry in as_sequence(config["models"], "models")]
    base = config.get("base_model")
    if base is not None and base not in [source.model for source in sources]:
        sources.append(_source({"model": base}, layers, (common,)))
    return sources


def _source(entry: Any, layers: tuple[int, int], levels: tuple[Mapping[str, Any], ...]) -> _Source:
    given = as_mapping(entry, "models", ("model", "layer_range", "parameters"))
    model = given.get("model")
    if not isinstance(model, str):
        raise RecipeError(f"`model` must be a folder or a hub id, but got {model!r}.")
    return _Source(model, layers, (as_mapping(given.get("parameters"), "parameters"), *levels))


def _layer_range(entry: Any) -> tuple[int, int]:
    found = as_mapping(entry, "sources").get("layer_range")
    match found:
        case [int(start), int(end)]:
            return start, end
    raise RecipeError(f"`layer_range` of a source must be [first, one past the last], but got {found!r}.")


def _check_parameters(slices: list[list[_Source]], signature: MethodSignature) -> None:
    """Refuse what the method does not take; `t` and the shared parameters have no model of their own."""
    own = tuple(parameter.name for parameter in signature.parameters)
    for source in (source for sources in slices for source in sources):
        *special, common = source.settings
        as_mapping(special[0], "parameters", () if signature.n_models == 2 else own)
        as_mapping(special[-1], "parameters", own)
        as_mapping(common, "parameters", (*own, *_shared_parameters(signature)))


def _shared_parameters(signature: MethodSignature) -> tuple[str, ...]:
    if signature.normalize is None:
        return ()
    return ("normalize",) if signature.base_has_parameters else ("normalize", "lambda", "rescale", "int8_mask")


def _models(config: Mapping[str, Any], slices: list[list[_Source]], signature: MethodSignature) -> dict[str, str]:
    """Path → name in the recipe, base first."""
    listed = list(dict.fromkeys(source.model for sources in slices for source in sources))
    base = config.get("base_model")
    if base is None and not signature.base_has_parameters:
        raise RecipeError(f"'{signature.name}' needs `base_model`, but the configuration names none.")
    base = listed[0] if base is None else base
    named = {base: BASE}
    for path in (path for path in listed if path != base):
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePath(path).name) or "expert"
        taken = set(named.values())
        named[path] = next(n for n in chain([stem], (f"{stem}_{i}" for i in count(2))) if n not in taken)
    _check_models(slices, named, signature)
    return named


def _check_models(slices: list[list[_Source]], named: Mapping[str, str], signature: MethodSignature) -> None:
    for sources in slices:
        models = [source.model for source in sources]
        if len(set(models)) < len(models):
            raise RecipeError(f"A model must be listed once in a slice, but got {', '.join(models)}.")
        if signature.n_models == 2 and not (len(named) == 2 and set(models) == set(named)):
            raise RecipeError(
                f"'{signature.name}' merges two models, `base_model` and one more, but got {', '.join(models)}."
            )


def _tensor_values(
    name: str, slices: list[list[_Source]], models: Mapping[str, str], signature: MethodSignature
) -> dict[str, dict[str, float]]:
    """Model → parameter → value for one tensor."""
    sources = {models[source.model]: source for source in _slice_of(name, slices)}
    found = {}
    for model in weighed_models(signature, tuple(alias for alias in models.values() if alias != BASE)):
        found[model] = {
            parameter.name: sources[model].value(parameter.name, name, 1.0 if parameter.name == "density" else None)
            if model in sources
            else _ABSENT[parameter.name]
            for parameter in signature.parameters
        }
    return found


def _slice_of(name: str, slices: list[list[_Source]]) -> list[_Source]:
    layer = layer_of(name)
    if layer is None:
        return slices[0] if is_embedding(name) else slices[-1]
    return next(sources for sources in slices if sources[0].layers[0] <= layer < sources[0].layers[1])


def _resolve(setting: Any, parameter: str, tensor_name: str, progress: float) -> float | None:
    """The setting's number for one tensor; None where no filter matches."""
    entries = setting if isinstance(setting, list) else [setting]
    if not any(isinstance(entry, dict) for entry in entries):
        return _gradient(setting, parameter, progress)
    for entry in entries:
        rule = as_mapping(entry, parameter, ("filter", "value"))
        text = rule.get("filter")
        if text in (None, "*") or str(text) in tensor_name:
            return _gradient(rule.get("value"), parameter, progress)
    return None


def _gradient(value: Any, parameter: str, progress: float) -> float | None:
    knots = [as_number(knot, parameter) for knot in (value if isinstance(value, list) else [value])]
    if not knots:
        return None
    place = progress * (len(knots) - 1)
    left = int(place)
    right = min(left + 1, len(knots) - 1)
    return knots[left] + (place - left) * (knots[right] - knots[left])


def _recipe(
    config: Mapping[str, Any],
    signature: MethodSignature,
    models: Mapping[str, str],
    groups: Mapping[str, tuple[str, ...]],
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> MergeRecipe:
    settings = as_mapping(config.get("parameters"), "parameters")
    _check_rescale(settings, signature)
    weighed = next(iter(values.values()))
    recipe = MergeRecipe(
        method=signature.name,
        base=models[BASE],
        experts={alias: path for alias, path in models.items() if alias != BASE},
        groups=groups,
        coefficients={m: {g: dict(values[members[0]][m]) for g, members in groups.items()} for m in weighed},
        normalize=as_switch(settings, "normalize", bool(signature.normalize)),
        dtype=str(config.get("out_dtype") or config.get("dtype") or "bfloat16"),
    )
    scale = as_number(settings.get("lambda", 1.0), "lambda")
    return recipe if scale == 1.0 else _scaled(recipe, scale)


def _check_rescale(settings: Mapping[str, Any], signature: MethodSignature) -> None:
    """DARE rescales what it keeps, the others do not; mergekit lets one choose."""
    if as_switch(settings, "rescale", signature.stochastic) != signature.stochastic:
        raise RecipeError(
            f"`rescale` must be {str(signature.stochastic).lower()} for '{signature.name}'; leave it out."
        )


def _scaled(recipe: MergeRecipe, scale: float) -> MergeRecipe:
    if recipe.normalize:
        raise RecipeError(f"`lambda: {scale:g}` cannot be expressed where weights are normalised; set it to 1.")
    scaled = {
        model: {g: {**values, "weight": values["weight"] * scale} for g, values in by_group.items()}
        for model, by_group in recipe.coefficients.items()
    }
    return replace(recipe, coefficients=scaled)
