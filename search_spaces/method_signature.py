"""What a merge method takes, in words that need no tensors: parameters, bounds, the role of the base, the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

# The owner of what a method takes once for all models. No model can be called so.
SHARED = "*"

# The parameters that can say how much of a model is merged.
LEADING_NAMES = ("weight", "t", "scale")


class ParameterKind(Enum):
    """Which values a parameter can have."""

    NUMBER = "number"
    INTEGER = "integer"
    SWITCH = "switch"  # 0 or 1


class BaseRole(Enum):
    """What the base model is to a method."""

    WEIGHED = "weighed"  # a model like the others, with parameters of its own
    ORIGIN = "origin"  # task vectors are counted from it
    OPTIONAL_ORIGIN = "optional origin"  # so too, unless the recipe merges the models themselves
    PARTNER = "partner"  # one of two models; where there are two experts, the first takes its place
    ABSENT = "absent"  # no part in the arithmetic


class Ranking(Enum):
    """What a method sorts below density 1: once, for it depends on the checkpoints alone."""

    DESCENDING = "descending"  # each task vector's elements, from the largest magnitude down
    ASCENDING = "ascending"  # from the smallest up; equal magnitudes stand in another order
    ROWS = "rows"  # the magnitudes of each row of the last dimension

    def element_bytes(self, n: int, row_length: int) -> int:
        """Bytes of one element of one expert's ranking.

        Args:
            n: elements of the tensor.
            row_length: of the last dimension.
        """
        if self is Ranking.ROWS:
            return 2 if row_length < 2**15 else 4
        return 4 if n < 2**31 else 8


@dataclass(frozen=True, slots=True)
class MethodParameter:
    """One number that a method takes per parameter group: of each expert, or once for all models.

    Args:
        name: the field's word for it: `weight`, `density`, `t`.
        minimum: the smallest value that has a meaning.
        maximum: the largest value that has a meaning.
        low: where a search of it begins.
        high: where a search of it ends.
        default: mergekit's value where none is given; None where one must be given.
        kind: which values lie between.
        searched: whether it is searched without being asked for; if not, it stays at its default until a
            specification bounds it.
    """

    name: str
    minimum: float
    maximum: float
    low: float
    high: float
    default: float | None = None
    kind: ParameterKind = ParameterKind.NUMBER
    searched: bool = True

    @property
    def usual_bounds(self) -> tuple[float, float]:
        """Where a search looks that says nothing of it; equal ends where it is not searched."""
        return (self.low, self.high) if self.searched or self.default is None else (self.default, self.default)

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.kind is not ParameterKind.NUMBER


@dataclass(frozen=True, slots=True)
class MethodSignature:
    """The part of a merge method that needs no tensors.

    Args:
        name: mergekit's name of the method.
        parameters: what is given per model and group.
        reference: the paper.
        shared_parameters: what is given once per group, for all models.
        base: the base model's role.
        normalize: whether weights are divided by their sum when the recipe does not say;
            None where the method has no such choice.
        normalize_key: mergekit's name of that choice.
        min_experts: how many it needs, the base not counted.
        max_experts: how many it can take; None for any number.
        differentiable: the merged weights are differentiable in the leading parameter almost everywhere, masks and
            elections taken as given.
        stochastic: the result depends on the recipe's seed.
        ranking: what it sorts, if anything.
    """

    name: str
    parameters: tuple[MethodParameter, ...]
    reference: str
    shared_parameters: tuple[MethodParameter, ...] = ()
    base: BaseRole = BaseRole.ORIGIN
    normalize: bool | None = None
    normalize_key: str = "normalize"
    min_experts: int = 1
    max_experts: int | None = None
    differentiable: bool = True
    stochastic: bool = False
    ranking: Ranking | None = None

    @property
    def all_parameters(self) -> tuple[MethodParameter, ...]:
        """Of the models, then shared."""
        return (*self.parameters, *self.shared_parameters)

    @property
    def merges_a_pair(self) -> bool:
        """Whether it merges two models, the base being one of them unless there are two experts."""
        return self.base is BaseRole.PARTNER

    @property
    def base_has_parameters(self) -> bool:
        """Whether the base model is weighed like the others."""
        return self.base is BaseRole.WEIGHED

    @property
    def leading(self) -> MethodParameter | None:
        """The parameter that says how much of a model is merged, if there is one."""
        first = self.parameters[:1]
        return first[0] if first and first[0].name in LEADING_NAMES else None

    @property
    def differentiable_parameters(self) -> tuple[str, ...]:
        """The names of parameters in which the merged weights are differentiable: the leading one, and what scales all.

        Densities and the like choose elements, and have no gradient.
        """
        scaling = [parameter.name for parameter in self.shared_parameters if parameter.name == "lambda"]
        return (self.leading.name, *scaling) if self.differentiable and self.leading else ()

    def parameter(self, name: str) -> MethodParameter:
        """The parameter of that name.

        Raises:
            KeyError: the method has no such parameter.
        """
        return {parameter.name: parameter for parameter in self.all_parameters}[name]

    def parameters_of(self, owner: str) -> tuple[MethodParameter, ...]:
        """What is given for a model, or under `SHARED` for all of them."""
        return self.shared_parameters if owner == SHARED else self.parameters

    def differentiable_parameters_of(self, owner: str) -> tuple[MethodParameter, ...]:
        """Those of `parameters_of` that are among `differentiable_parameters`."""
        return tuple(p for p in self.parameters_of(owner) if p.name in self.differentiable_parameters)

    def merges_task_vectors(self, chosen: bool) -> bool:
        """Whether experts are merged as differences from the base; `chosen` counts where that is a choice."""
        return chosen if self.base is BaseRole.OPTIONAL_ORIGIN else self.base is BaseRole.ORIGIN

    def conflict(self, values: Mapping[str, float]) -> str | None:
        """What of a model's values cannot be together, for an error message; None where all can.

        Args:
            values: parameter → value of one model and group.
        """
        density, spread = values.get("density"), values.get("epsilon")
        if density is None or spread is None or density >= 1 or 0 < density - spread <= density + spread < 1:
            return None
        return (
            "`density` - `epsilon` and `density` + `epsilon` are probabilities that must lie between 0 and 1 "
            f"(or `density` be 1), but got {density:g} and {spread:g}"
        )
