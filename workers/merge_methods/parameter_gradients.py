"""What a loss gains from a method's numbers, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class ParameterGradients:
    """d loss / d number of one parameter group, laid out as `GroupParameters` are.

    Args:
        experts: parameter → derivative of each expert, in the recipe's order; empty for one without numbers.
        base: of the base, where the method weighs it.
        shared: of what is given once for all models.
    """

    experts: tuple[Mapping[str, float], ...]
    base: Mapping[str, float] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_weights(cls, slopes: Sequence[float], **shared: float) -> Self:
        """Of each expert's `weight`, and of shared numbers."""
        return cls(tuple({"weight": slope} for slope in slopes), shared=shared)

    @classmethod
    def of_pair(cls, parameter: str, slope: float, n_experts: int) -> Self:
        """Of a method that merges two models: the numbers are the last expert's."""
        return cls((*({} for _ in range(n_experts - 1)), {parameter: slope}))
