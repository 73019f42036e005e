"""The space of a search: which numbers vary between which bounds, and the recipe that they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Any

from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.landmarks import Landmark, fill_coefficients, landmark_weights
from search_spaces.merge_recipe import MergeRecipe, check_number_of_models, owners, weighed_models
from search_spaces.method_signature import SHARED, MethodParameter, MethodSignature
from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.parameter_groups import group_parameters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class BoundsRule:
    """Bounds for some models and groups; of several rules that apply, the last one counts.

    Args:
        bounds: parameter → (low, high); equal ends fix the value, and it is not searched.
        expert: the model that is meant, or None for all.
        filter: a pattern of group names (`layer.1?`, `*.attention`), or None for all.
    """

    bounds: Mapping[str, Bounds]
    expert: str | None = None
    filter: str | None = None

    def applies(self, owner: str, group: str) -> bool:
        """Whether the rule speaks of this model (or of what all models share) and group."""
        return self.expert in (None, owner) and (self.filter is None or fnmatchcase(group, self.filter))


@dataclass(frozen=True, slots=True)
class SpaceOptions:
    """How a space is cut; everything but the models.

    Args:
        method: a name in `METHOD_SIGNATURES`.
        granularity: see `group_parameters`.
        rules: bounds, from the general to the special.
        normalize: None takes the method's own default.
        task_vectors: merge differences from the base, where the method has the choice.
        seed: of stochastic methods.
        dtype: of the merged tensors.
        tokenizer_source: see `MergeRecipe`.
    """

    method: str = "task_arithmetic"
    granularity: str = "layer"
    rules: tuple[BoundsRule, ...] = field(default_factory=tuple)
    normalize: bool | None = None
    task_vectors: bool = True
    seed: int = 0
    dtype: str = "bfloat16"
    tokenizer_source: str | None = None


class SearchSpace:
    """Trial parameters on one side, merge recipes on the other.

    A trial's parameter is named `owner/group/parameter`, such as `medical/layer.3/weight`; what is given once
    for all models is owned by `*`.

    Args:
        base: notation of the base model.
        experts: name → notation.
        tensor_names: of the base model's checkpoint.
        options: method, granularity, bounds.

    Raises:
        SpecificationError: an unknown method or granularity, bounds upside down or outside what
            the method takes, a rule that names no model or matches no group.
        RecipeError: experts that the method cannot merge.
    """

    def __init__(
        self, base: str, experts: Mapping[str, str], tensor_names: Iterable[str], options: SpaceOptions
    ) -> None:
        if options.method not in METHOD_SIGNATURES:
            raise SpecificationError(
                f"`space.method` must be one of {', '.join(METHOD_SIGNATURES)}, but got '{options.method}'."
            )
        self.base = base
        self.experts = dict(experts)
        self.options = options
        self.signature: MethodSignature = METHOD_SIGNATURES[options.method]
        check_number_of_models(self.signature, tuple(experts))
        self.models = weighed_models(self.signature, tuple(experts))
        self.owners = owners(self.signature, tuple(experts))
        self.groups = group_parameters(tensor_names, options.granularity)
        self.normalize = bool(self.signature.normalize if options.normalize is None else options.normalize)
        self._check_rules()
        self._bounds = {key: self._bounds_of(*key) for key in self._keys()}
        self._distributions = {
            _name(*key): _distribution(key[2], bounds) for key, bounds in self._bounds.items() if bounds[0] < bounds[1]
        }
        self._check_corners()
        if not self._distributions:
            raise SpecificationError(self._nothing_to_search)

    @property
    def n_dims(self) -> int:
        """How many numbers a trial has."""
        return len(self._distributions)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions, in a stable order."""
        return dict(self._distributions)

    @property
    def differentiable_parameters(self) -> tuple[str, ...]:
        """The names of searched parameters in which the merged weights can be differentiated."""
        names = self.signature.differentiable_parameters
        found = (_name(*key) for key in self._bounds if key[2].name in names)
        return tuple(name for name in found if name in self._distributions)

    def decode(self, params: Mapping[str, float]) -> MergeRecipe:
        """The recipe that a trial's parameters stand for.

        Raises:
            RecipeError: a parameter is missing, unknown or out of its bounds.
        """
        if params.keys() != self._distributions.keys():
            odd = sorted(params.keys() ^ self._distributions.keys())
            raise RecipeError(f"The trial's parameters must be those of the space, but differ in {', '.join(odd[:3])}.")
        coefficients = fill_coefficients(self.owners, self.groups, lambda owner, group: {})
        for key, bounds in self._bounds.items():
            owner, group, parameter = key
            value = float(params.get(_name(*key), bounds[0]))
            _check_within(key, value, bounds)
            coefficients[owner][group][parameter.name] = value
        return self._recipe(coefficients)

    def encode(self, recipe: MergeRecipe) -> dict[str, float]:
        """The inverse of `decode`.

        Raises:
            RecipeError: the recipe lies outside this space; the message says where.
        """
        # Two dicts are equal in any order, but methods take experts in theirs.
        same_order = tuple(recipe.experts) == tuple(self.experts)
        if not same_order or any(getattr(recipe, name) != value for name, value in self._fixed.items()):
            raise RecipeError("The recipe differs from the space in its models, method, groups, seed or dtype.")
        params = {}
        for key, bounds in self._bounds.items():
            owner, group, parameter = key
            value = recipe.values(owner, group)[parameter.name]
            _check_within(key, value, bounds)
            params[_name(*key)] = int(value) if parameter.is_whole else value
        return {name: params[name] for name in self._distributions}

    def landmarks(self) -> list[Landmark]:
        """Each model alone, the uniform average and task arithmetic at 0.3 to 0.5.

        Some may lie outside the bounds: `encode` says which and why.
        """
        weights = landmark_weights(self.signature, tuple(self.experts), self.normalize)
        return [Landmark(name, self._landmark(weight)) for name, weight in weights.items()]

    def unweighed(self) -> MergeRecipe:
        """The recipe in which no model is weighed; its other numbers are defaults, or lie within the bounds."""
        return self._landmark({})

    def _landmark(self, weights: Mapping[str, float]) -> MergeRecipe:
        alone = tuple(weights.values()) == (1.0,)

        def value(owner: str, group: str) -> dict[str, float]:
            return {
                parameter.name: self._landmark_value((owner, group, parameter), weights.get(owner, 0.0), alone)
                for parameter in self.signature.parameters_of(owner)
            }

        return self._recipe(fill_coefficients(self.owners, self.groups, value))

    def _landmark_value(self, key: tuple[str, str, MethodParameter], weight: float, alone: bool) -> float:
        owner, _, parameter = key
        low, high = self._bounds[key]
        if parameter == self.signature.leading and owner != SHARED:
            return weight
        if parameter.name == "density":
            # A model alone is itself at full density only; an average is one at any density.
            return 1.0 if alone and weight else high
        return low if low == high or parameter.default is None else parameter.default

    def _recipe(self, coefficients: Mapping[str, Mapping[str, Mapping[str, float]]]) -> MergeRecipe:
        return MergeRecipe(coefficients=coefficients, **self._fixed)

    @property
    def _fixed(self) -> dict[str, Any]:
        """All that the recipes of this space have in common."""
        return {
            "method": self.options.method,
            "base": self.base,
            "experts": self.experts,
            "groups": self.groups,
            "normalize": self.normalize,
            "task_vectors": self.options.task_vectors,
            "seed": self.options.seed,
            "dtype": self.options.dtype,
            "tokenizer_source": self.options.tokenizer_source,
        }

    def _keys(self) -> Iterator[tuple[str, str, MethodParameter]]:
        for owner in self.owners:
            for group in self.groups:
                for parameter in self.signature.parameters_of(owner):
                    yield owner, group, parameter

    def _bounds_of(self, owner: str, group: str, parameter: MethodParameter) -> Bounds:
        bounds = parameter.usual_bounds
        for rule in self.options.rules:
            if rule.applies(owner, group):
                bounds = rule.bounds.get(parameter.name, bounds)
        return bounds

    def _check_rules(self) -> None:
        for rule in self.options.rules:
            if rule.expert is not None and rule.expert not in self.models:
                raise SpecificationError(
                    f"`space.bounds` must name one of {', '.join(self.models)}, but got expert '{rule.expert}'."
                )
            if rule.filter is not None and not any(fnmatchcase(group, rule.filter) for group in self.groups):
                raise SpecificationError(
                    f"`filter: {rule.filter}` matches no parameter group. The groups are {_listed(tuple(self.groups))}."
                )
            for name, bounds in rule.bounds.items():
                self._check_bounds(name, bounds)
                if rule.expert is not None and name in [each.name for each in self.signature.shared_parameters]:
                    raise SpecificationError(
                        f"`{name}` of '{self.signature.name}' is given once for all models, but `space.bounds` bounds "
                        f"it for expert '{rule.expert}'. Leave the expert out."
                    )

    def _check_bounds(self, name: str, bounds: Bounds) -> None:
        try:
            parameter = self.signature.parameter(name)
        except KeyError:
            taken = ", ".join(p.name for p in self.signature.all_parameters) or "no parameters"
            raise SpecificationError(f"'{self.signature.name}' takes {taken}, but the space bounds `{name}`.") from None
        low, high = bounds
        if parameter.is_whole and not (low == int(low) and high == int(high)):
            raise SpecificationError(f"`{name}` must have whole numbers as bounds, but got [{low:g}, {high:g}].")
        if low > high:
            raise SpecificationError(f"`{name}` must be [low, high] with low <= high, but got [{low:g}, {high:g}].")
        if not parameter.minimum <= low <= high <= parameter.maximum:
            raise SpecificationError(
                f"`{name}` of '{self.signature.name}' must lie in [{parameter.minimum:g}, {parameter.maximum:g}], "
                f"but got [{low:g}, {high:g}]."
            )

    def _check_corners(self) -> None:
        """What cannot be together must be out of reach: the bounds' corners are the extremes."""
        for owner in self.models:
            for group in self.groups:
                bounds = {p.name: self._bounds[owner, group, p] for p in self.signature.parameters}
                for corner in product(*(_ends(*each) for each in bounds.values())):
                    conflict = self.signature.conflict(dict(zip(bounds, corner, strict=True)))
                    if conflict:
                        raise SpecificationError(f"{conflict} within the bounds of model '{owner}', group '{group}'.")

    @property
    def _nothing_to_search(self) -> str:
        if not self.signature.all_parameters:
            return (
                f"`space` must leave something to search, but '{self.signature.name}' takes no parameters: "
                "there is one such merge. Use another method."
            )
        fixed = ", ".join(f"`{p.name}` in [{p.low:g}, {p.high:g}]" for p in self.signature.all_parameters)
        return (
            "`space` must leave something to search, but every bound fixes its value. "
            f"Of '{self.signature.name}' one can search {fixed}."
        )


def _ends(low: float, high: float) -> Bounds:
    """The extremes of what a search can meet: a density that is searched comes close to 1, where other rules hold."""
    return low, high if low == high else math.nextafter(high, low)


def _distribution(parameter: MethodParameter, bounds: Bounds) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high = bounds
    return IntDistribution(int(low), int(high)) if parameter.is_whole else FloatDistribution(low, high)


def _name(owner: str, group: str, parameter: MethodParameter) -> str:
    return f"{owner}/{group}/{parameter.name}"


def _check_within(key: tuple[str, str, MethodParameter], value: float, bounds: Bounds) -> None:
    if not bounds[0] <= value <= bounds[1]:
        raise RecipeError(f"`{_name(*key)}` must be in [{bounds[0]:g}, {bounds[1]:g}], but got {value:g}.")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])}, … {names[-1]}"
