"""A merge, fully specified: which models, which method, and every number it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search_spaces.errors import RecipeError
from search_spaces.method_signatures import METHOD_SIGNATURES, MethodSignature

BASE = "base"
DTYPES = ("float32", "bfloat16", "float16")

# model → group → parameter → value
Coefficients = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class MergeRecipe:
    """All that a worker needs to make one candidate; some kilobytes, never weights.

    Args:
        method: a name in `METHOD_SIGNATURES`.
        base: folder of the base model.
        experts: name → folder, in the order in which the method takes them.
        groups: parameter group → the tensors that share its coefficients.
        coefficients: model → group → parameter → value, for every expert (and for `base`
            where the method weighs the base too).
        normalize: divide weights by their sum; ignored by methods without that choice.
        seed: of stochastic methods.
        dtype: of the merged tensors: `float32`, `bfloat16` or `float16`.

    Raises:
        RecipeError: a name, a number of models or a value that the method does not take.
    """

    method: str
    base: str
    experts: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]
    coefficients: Coefficients
    normalize: bool = False
    seed: int = 0
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        if self.method not in METHOD_SIGNATURES:
            raise RecipeError(f"`method` must be one of {', '.join(METHOD_SIGNATURES)}, but got '{self.method}'.")
        if self.dtype not in DTYPES:
            raise RecipeError(f"`dtype` must be one of {', '.join(DTYPES)}, but got '{self.dtype}'.")
        check_number_of_models(self.signature, tuple(self.experts))
        for model in self.weighed_models:
            self._check_coefficients(model)

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
        """Model name → folder, base first."""
        return {BASE: self.base, **self.experts}

    def _check_coefficients(self, model: str) -> None:
        for group in self.groups:
            for parameter in self.signature.parameters:
                value = self.coefficients.get(model, {}).get(group, {}).get(parameter.name)
                if value is None:
                    raise RecipeError(f"The recipe lacks `{parameter.name}` of model '{model}' for group '{group}'.")
                if not (math.isfinite(value) and parameter.minimum <= value <= parameter.maximum):
                    raise RecipeError(
                        f"`{parameter.name}` of '{self.method}' must be in [{parameter.minimum:g}, "
                        f"{parameter.maximum:g}], but got {value:g} for model '{model}', group '{group}'."
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

    SLERP has one interpolation parameter for its pair: it belongs to the second model, towards which `t` leads.
    """
    if signature.n_models == 2:
        return experts[-1:]
    return (BASE, *experts) if signature.base_has_parameters else experts


def check_number_of_models(signature: MethodSignature, experts: tuple[str, ...]) -> None:
    """Refuse experts that the method cannot merge.

    Raises:
        RecipeError: no expert, one with the base's name, or too many for the method.
    """
    if not experts:
        raise RecipeError("`experts` must name at least one model, but got none.")
    if BASE in experts:
        raise RecipeError(f"`experts` must not be named '{BASE}', which is the base model; give it another name.")
    if signature.n_models == 2 and len(experts) > 2:
        raise RecipeError(
            f"'{signature.name}' merges two models: the base and one expert, or two experts; "
            f"but got {len(experts)} experts: {', '.join(experts)}. Use another method, or fewer experts."
        )
