"""mergekit YAML as a merge recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import PurePath
from typing import Any

from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE, MergeRecipe, owners
from search_spaces.mergekit_format.checked_values import (
    as_document,
    as_mapping,
    as_number,
    as_sequence,
    as_switch,
)
from search_spaces.method_signature import SHARED, BaseRole, MethodParameter, MethodSignature, ParameterKind
from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.parameter_groups import group_parameters, is_embedding, layer_of

_COARSE_TO_FINE = ("model", "layer", "module", "tensor")

_KEYS = ("merge_method", "base_model", "models", "slices", "parameters", "dtype", "out_dtype", "name")
_TOKENIZER_KEYS = ("tokenizer", "tokenizer_source", "chat_template")
# What mergekit takes and what changes no number: how masks are stored, and masks where there are none.
_WITHOUT_EFFECT = ("int8_mask",)
_MASKS = ("density", "rescale")


@dataclass(frozen=True, slots=True)
class _Source:
    """One model of one output slice: whose tensors, which layers, and where its settings are looked up."""

    model: str
    layers: tuple[int, int]
    settings: tuple[Mapping[str, Any], ...]

    @property
    def shared_settings(self) -> tuple[Mapping[str, Any], ...]:
        """Where what is given once for all models is looked up."""
        return self.settings[1:]

    def value(self, parameter: MethodParameter, tensor_name: str, levels: tuple[Mapping[str, Any], ...]) -> float:
        name = parameter.name
        for level in levels:
            if name in level:
                found = _resolve(level[name], parameter, tensor_name, self._progress(tensor_name))
                if found is not None:
                    return found
        if parameter.default is None:
            raise RecipeError(
                f"`{name}` must be given for model '{self.model}', but no setting covers '{tensor_name}'."
            )
        return parameter.default

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
    config = parse_configuration(text)
    names = sorted(tensor_names)
    signature = METHOD_SIGNATURES[config["merge_method"]]
    slices = _slices(config, n_layers=1 + max((layer_of(name) or 0 for name in names), default=0))
    _check_parameters(slices, signature)
    models = _models(config, slices, signature)
    values = {name: _tensor_values(name, slices, models, signature) for name in names}
    for candidate in (granularity,) if granularity else _COARSE_TO_FINE:
        groups = group_parameters(names, candidate)
        if all(len({repr(values[name]) for name in members}) == 1 for members in groups.values()):
            return _recipe(config, signature, models, groups, values)
    raise RecipeError(
        f"The configuration's settings differ within groups of granularity '{granularity}'; take a finer one."
    )


def parse_configuration(text: str) -> Mapping[str, Any]:
    """The keys of a configuration, all known; their values are as they were written.

    Raises:
        RecipeError: no YAML, no merge, or a method or key that is not known here.
    """
    config = as_document(text)
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
    """Refuse what the method does not take; what is given once has no place at a model."""
    ignored = _MASKS if signature.name == "task_arithmetic" else ()
    own = (*(parameter.name for parameter in signature.parameters), *ignored)
    shared = tuple(parameter.name for parameter in signature.shared_parameters)
    switches = (signature.normalize_key,) if signature.normalize is not None else ()
    for source in (source for sources in slices for source in sources):
        special, *of_slice, of_all = source.settings
        as_mapping(special, "parameters", () if signature.merges_a_pair else own)
        for level in of_slice:
            as_mapping(level, "parameters", (*own, *shared, *_WITHOUT_EFFECT))
        as_mapping(of_all, "parameters", (*own, *shared, *switches, *_WITHOUT_EFFECT))


def _models(config: Mapping[str, Any], slices: list[list[_Source]], signature: MethodSignature) -> dict[str, str]:
    """Name in the recipe → path, base first."""
    listed = list(dict.fromkeys(source.model for sources in slices for source in sources))
    given = config.get("base_model")
    if given is None and signature.base in (BaseRole.ORIGIN, BaseRole.PARTNER):
        raise RecipeError(f"'{signature.name}' needs `base_model`, but the configuration names none.")
    base = listed[0] if given is None else given
    # Where no task vectors are taken, the base is merged like the others, or lends its tokenizer only.
    is_expert = signature.base is BaseRole.ABSENT or (given is None and signature.base is BaseRole.OPTIONAL_ORIGIN)
    named = {BASE: base}
    for path in listed if is_expert else [path for path in listed if path != base]:
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePath(path).name) or "expert"
        named[next(name for name in chain([stem], (f"{stem}_{i}" for i in count(2))) if name not in named)] = path
    _check_models(slices, named, signature)
    return named


def _check_models(slices: list[list[_Source]], named: Mapping[str, str], signature: MethodSignature) -> None:
    for sources in slices:
        models = [source.model for source in sources]
        if len(set(models)) < len(models):
            raise RecipeError(f"A model must be listed once in a slice, but got {', '.join(models)}.")
        if signature.merges_a_pair and not (len(named) == 2 and set(models) == set(named.values())):
            raise RecipeError(
                f"'{signature.name}' merges two models, `base_model` and one more, but got {', '.join(models)}."
            )


def _tensor_values(
    name: str, slices: list[list[_Source]], models: Mapping[str, str], signature: MethodSignature
) -> dict[str, dict[str, float]]:
    """Owner → parameter → value for one tensor."""
    listed = _slice_of(name, slices)
    sources = {source.model: source for source in listed}
    found = {}
    for owner in owners(signature, tuple(alias for alias in models if alias != BASE)):
        source = listed[0] if owner == SHARED else sources.get(models[owner])
        found[owner] = {
            parameter.name: _owned_value(owner, source, parameter, name) for parameter in signature.parameters_of(owner)
        }
    return found


def _owned_value(owner: str, source: _Source | None, parameter: MethodParameter, name: str) -> float:
    if source is None:  # a model that the slice does not list adds nothing to it
        return 0.0 if parameter.default is None else parameter.default
    return source.value(parameter, name, source.shared_settings if owner == SHARED else source.settings)


def _slice_of(name: str, slices: list[list[_Source]]) -> list[_Source]:
    layer = layer_of(name)
    if layer is None:
        return slices[0] if is_embedding(name) else slices[-1]
    return next(sources for sources in slices if sources[0].layers[0] <= layer < sources[0].layers[1])


def _resolve(setting: Any, parameter: MethodParameter, tensor_name: str, progress: float) -> float | None:
    """The setting's number for one tensor; None where no filter matches."""
    entries = setting if isinstance(setting, list) else [setting]
    if not any(isinstance(entry, dict) for entry in entries):
        return _gradient(setting, parameter, progress)
    for entry in entries:
        rule = as_mapping(entry, parameter.name, ("filter", "value"))
        text = rule.get("filter")
        if text in (None, "*") or str(text) in tensor_name:
            return _gradient(rule.get("value"), parameter, progress)
    return None


def _gradient(value: Any, parameter: MethodParameter, progress: float) -> float | None:
    if parameter.kind is ParameterKind.SWITCH and not isinstance(value, list):
        return float(as_switch({parameter.name: value}, parameter.name, default=False))
    knots = [as_number(knot, parameter.name) for knot in (value if isinstance(value, list) else [value])]
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
    weighed = next(iter(values.values()))
    return MergeRecipe(
        method=signature.name,
        base=models[BASE],
        experts={alias: path for alias, path in models.items() if alias != BASE},
        groups=groups,
        coefficients={m: {g: dict(values[members[0]][m]) for g, members in groups.items()} for m in weighed},
        normalize=as_switch(settings, signature.normalize_key, bool(signature.normalize)),
        task_vectors=signature.base is not BaseRole.OPTIONAL_ORIGIN or config.get("base_model") is not None,
        dtype=str(config.get("out_dtype") or config.get("dtype") or "bfloat16"),
    )
