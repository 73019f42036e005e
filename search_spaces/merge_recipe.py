"""A merge, fully specified: which models, which method, and every number it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search_spaces.errors import RecipeError
from search_spaces.method_signature import SHARED, MethodParameter, MethodSignature
from search_spaces.method_signatures import METHOD_SIGNATURES

BASE = "base"
DTYPES = ("float32", "bfloat16", "float16")

# owner → group → parameter → value; an owner is a model, or `SHARED`
Coefficients = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class MergeRecipe:
    """All that a worker needs to make one candidate; some kilobytes, never weights.

    Args:
        method: a name in `METHOD_SIGNATURES`.
        base: `ModelReference.notation` of the base model.
        experts: name → notation, in the order in which the method takes them.
        groups: parameter group → the tensors that share its coefficients.
        coefficients: owner → group → parameter → value, for every expert (and for `base`
            where the method weighs the base too), and under `SHARED` what is given once for all
            models. What has a default may be left out.
        normalize: divide weights by their sum; ignored by methods without that choice.
        task_vectors: merge differences from the base; ignored by methods without that choice.
        seed: of stochastic methods.
        dtype: of the merged tensors: `float32`, `bfloat16` or `float16`.
        tokenizer_source: whose tokens the merge has: a model's name, or `union` for those of all; None
            where all models have the same.

    Raises:
        RecipeError: a name, a number of models or a value that the method does not take.
    """

    method: str
    base: str
    experts: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]
    coefficients: Coefficients
    normalize: bool = False
    task_vectors: bool = True
    seed: int = 0
    dtype: str = "bfloat16"
    tokenizer_source: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHOD_SIGNATURES:
            raise RecipeError(f"`method` must be one of {', '.join(METHOD_SIGNATURES)}, but got '{self.method}'.")
        if self.dtype not in DTYPES:
            raise RecipeError(f"`dtype` must be one of {', '.join(DTYPES)}, but got '{self.dtype}'.")
        check_number_of_models(self.signature, tuple(self.experts))
        for owner in owners(self.signature, tuple(self.experts)):
            self._check_coefficients(owner)

    @property
    def signature(self) -> MethodSignature:
        """What the method takes."""
        return METHOD_SIGNATURES[self.method]

    @property
    def weighed_models(self) -> tuple[str, ...]:
        """The models that have coefficients, base first where it has any."""
        return weighed_models(self.signature, tuple(self.experts))

    @property
    def folders(self) -> dict[str, str]:
        """Model name → notation, base first."""
        return {BASE: self.base, **self.experts}

    def values(self, owner: str, group: str) -> dict[str, float]:
        """Parameter → value of one owner and group, with the defaults of what is left out.

        Raises:
            RecipeError: a parameter without a default is left out.
        """
        given = self.coefficients.get(owner, {}).get(group, {})
        found = {}
        for parameter in self.signature.parameters_of(owner):
            value = given.get(parameter.name, parameter.default)
            if value is None:
                raise RecipeError(f"The recipe lacks `{parameter.name}` of model '{owner}' for group '{group}'.")
            found[parameter.name] = value
        return found

    def _check_coefficients(self, owner: str) -> None:
        whose = "all models" if owner == SHARED else f"model '{owner}'"
        for group in self.groups:
            values = self.values(owner, group)
            for parameter in self.signature.parameters_of(owner):
                self._check_value(parameter, values[parameter.name], f"{whose}, group '{group}'")
            conflict = self.signature.conflict(values)
            if conflict:
                raise RecipeError(f"{conflict} for {whose}, group '{group}'.")

    def _check_value(self, parameter: MethodParameter, value: float, whose: str) -> None:
        if not (math.isfinite(value) and parameter.minimum <= value <= parameter.maximum):
            raise RecipeError(
                f"`{parameter.name}` of '{self.method}' must be in [{parameter.minimum:g}, "
                f"{parameter.maximum:g}], but got {value:g} for {whose}."
            )
        if parameter.is_whole and value != int(value):
            raise RecipeError(
                f"`{parameter.name}` of '{self.method}' must be a whole number, but got {value:g} for {whose}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MergeRecipe:
        """The inverse of `to_dict`, also after a passage through JSON.

        Raises:
            RecipeError: see the class.
        """
        groups = {group: tuple(members) for group, members in values["groups"].items()}
        return cls(**{**values, "groups": groups})


def weighed_models(signature: MethodSignature, experts: tuple[str, ...]) -> tuple[str, ...]:
    """The models that have coefficients under a method.

    A method that merges a pair has one set of them, which belongs to the second model: `t` leads towards it.
    """
    if not signature.parameters:
        return ()
    if signature.merges_a_pair:
        return experts[-1:]
    return (BASE, *experts) if signature.base_has_parameters else experts


def owners(signature: MethodSignature, experts: tuple[str, ...]) -> tuple[str, ...]:
    """The models that have coefficients, and `SHARED` where some are given once for all of them."""
    return (*weighed_models(signature, experts), *([SHARED] if signature.shared_parameters else []))


def check_number_of_models(signature: MethodSignature, experts: tuple[str, ...]) -> None:
    """Refuse experts that the method cannot merge.

    Raises:
        RecipeError: no expert, one with the base's name, too few or too many for the method.
    """
    if not experts:
        raise RecipeError("`experts` must name at least one model, but got none.")
    if BASE in experts:
        raise RecipeError(f"`experts` must not be named '{BASE}', which is the base model; give it another name.")
    given = f"but got {len(experts)} expert{'s' if len(experts) > 1 else ''}: {', '.join(experts)}"
    if signature.merges_a_pair and len(experts) > 2:
        raise RecipeError(
            f"'{signature.name}' merges two models: the base and one expert, or two experts; {given}. "
            "Use another method, or fewer experts."
        )
    at_most = signature.max_experts or len(experts)
    if not signature.min_experts <= len(experts) <= at_most:
        exactly = signature.min_experts == signature.max_experts
        wanted = f"{signature.min_experts}" if exactly or len(experts) < signature.min_experts else f"{at_most}"
        bound = "exactly" if exactly else "at least" if len(experts) < signature.min_experts else "at most"
        raise RecipeError(
            f"'{signature.name}' merges {bound} {wanted} expert{'' if wanted == '1' else 's'}, {given}. "
            f"Use another method, or {'more' if len(experts) < signature.min_experts else 'fewer'} experts."
        )
