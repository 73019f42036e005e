"""The contract of a merge method: one parameter of every model in, the merged parameter out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from search_spaces import MergeRecipe, MethodSignature
from search_spaces.merge_recipe import BASE
from workers.merge_methods.geometry import PairGeometry
from workers.merge_methods.magnitude_ranking import MagnitudeRanking


class SourceTensors:
    """One parameter in the base and in every expert, with what depends on them alone.

    That (rankings, angles) is worked out at first use and kept: it is the same for every candidate.

    Args:
        name: of the tensor.
        base: any shape and dtype.
        experts: of the base's shape, in the recipe's order.
    """

    def __init__(self, name: str, base: Tensor, experts: tuple[Tensor, ...]) -> None:
        self.name = name
        self.base = base
        self.experts = experts

    @property
    def last_pair(self) -> tuple[Tensor, Tensor]:
        """The two models of a method that merges two: the last expert and the one before it (or the base)."""
        return (self.base, *self.experts)[-2], self.experts[-1]

    @cached_property
    def pair_geometry(self) -> PairGeometry:
        """Lengths and angle of `last_pair`."""
        return PairGeometry.measure(*self.last_pair)

    @cached_property
    def magnitude_rankings(self) -> tuple[MagnitudeRanking, ...]:
        """The sorted magnitudes of each expert's task vector."""
        return tuple(MagnitudeRanking.measure(self.base, expert) for expert in self.experts)


@dataclass(frozen=True, slots=True)
class GroupParameters:
    """A recipe's numbers for one parameter group.

    Args:
        base: parameter → value of the base; empty where the method does not weigh it.
        experts: parameter → value of each expert, in the recipe's order.
        normalize: divide weights by their sum.
        seed: of stochastic methods.
    """

    base: Mapping[str, float]
    experts: tuple[Mapping[str, float], ...]
    normalize: bool
    seed: int

    @classmethod
    def of(cls, recipe: MergeRecipe, group: str) -> GroupParameters:
        """The numbers that a recipe gives to a group."""
        given = {model: by_group[group] for model, by_group in recipe.coefficients.items()}
        return cls(
            base=given.get(BASE, {}),
            experts=tuple(given.get(expert, {}) for expert in recipe.experts),
            normalize=recipe.normalize,
            seed=recipe.seed,
        )

    def values(self, parameter: str) -> tuple[float, ...]:
        """One parameter of every expert."""
        return tuple(expert[parameter] for expert in self.experts)


class MergeMethod(ABC):
    """A merge method; stateless, so that one instance serves everywhere."""

    signature: ClassVar[MethodSignature]

    @abstractmethod
    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """Write the merged parameter into `out`.

        Args:
            tensors: the parameter in every model; never changed.
            parameters: the numbers of its group.
            out: contiguous, of the sources' shape, on any device; computed in float32 and rounded
                once into its dtype.

        Raises:
            CandidateError: the numbers have no merge, such as weights that sum to zero.
        """
