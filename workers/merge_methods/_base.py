"""The contract of a merge method: one parameter of every model in, the merged parameter out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from search_spaces import MergeRecipe, MethodSignature
from search_spaces.errors import RecipeError
from search_spaces.merge_recipe import BASE
from search_spaces.method_signature import SHARED
from workers.merge_methods.parameter_gradients import ParameterGradients
from workers.merge_methods.ranking_files import RankingFiles

_T = TypeVar("_T")


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
        self.ranking_files: RankingFiles | None = None
        self._kept: dict[Hashable, Any] = {}

    def copied(self, base: Tensor, experts: tuple[Tensor, ...]) -> SourceTensors:
        """The same parameter from another place; what is kept, both keep."""
        copy = SourceTensors(self.name, base, experts)
        copy.ranking_files, copy._kept = self.ranking_files, self._kept
        return copy

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """The two models of a method that merges two: the last expert, after the one before it (or the base)."""
        return (self.base, *self.experts)[-2], self.experts[-1]

    @property
    def is_unchanged(self) -> bool:
        """Whether every expert has the base's numbers."""

        def compared() -> bool:
            return all(e.dtype == self.base.dtype and torch.equal(e, self.base) for e in self.experts)

        return self.kept("unchanged", compared)

    def kept(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What was made under this key, or is made now; it must depend on the tensors and the key alone."""
        if key not in self._kept:
            self._kept[key] = make()
        found: _T = self._kept[key]
        return found

    def kept_last(self, key: Hashable, value: Hashable, make: Callable[[], _T]) -> _T:
        """The same for what depends on a value of the candidate's as well: the latest one is kept."""
        if key not in self._kept or self._kept[key][0] != value:
            self._kept[key] = (value, make())
        found: _T = self._kept[key][1]
        return found

    def ranking(self, key: str, expert: int, dtype: torch.dtype, make: Callable[[], Tensor]) -> Tensor:
        """A ranking of an expert's task vector, in memory or in a file; see `kept`.

        Args:
            key: what is ranked, in words.
            expert: index of the expert.
            dtype: of the ranking, which has an element for each of the tensor's, in its shape.
            make: makes it.
        """
        files = self.ranking_files
        if files is None:
            return self.kept((key, expert), make)
        sources, like = (
            (self.base, self.experts[expert]),
            self.base.new_empty(self.base.shape, dtype=dtype, device="meta"),
        )
        return self.kept((key, expert), lambda: files.kept(key, sources, like, make))

    def has_ranking(self, key: str) -> bool:
        """Whether every expert's ranking is made."""
        return all((key, expert) in self._kept for expert in range(len(self.experts)))


@dataclass(frozen=True, slots=True)
class GroupParameters:
    """A recipe's numbers for one parameter group.

    Args:
        base: parameter → value of the base; empty where the method does not weigh it.
        experts: parameter → value of each expert, in the recipe's order.
        normalize: divide weights by their sum.
        seed: of stochastic methods.
        shared: parameter → value of what is given once for all models.
        task_vectors: merge differences from the base, where the method has the choice.
    """

    base: Mapping[str, float]
    experts: tuple[Mapping[str, float], ...]
    normalize: bool
    seed: int
    shared: Mapping[str, float] = field(default_factory=dict)
    task_vectors: bool = True

    @classmethod
    def of(cls, recipe: MergeRecipe, group: str) -> GroupParameters:
        """The numbers that a recipe gives to a group."""
        weighed = recipe.weighed_models
        return cls(
            base=recipe.values(BASE, group) if BASE in weighed else {},
            experts=tuple(recipe.values(expert, group) if expert in weighed else {} for expert in recipe.experts),
            normalize=recipe.normalize,
            seed=recipe.seed,
            shared=recipe.values(SHARED, group),
            task_vectors=recipe.task_vectors,
        )

    @property
    def trims(self) -> bool:
        """Whether some expert's task vector loses elements."""
        return any(expert.get("density", 1.0) < 1 for expert in self.experts)

    def values(self, parameter: str) -> tuple[float, ...]:
        """One parameter of every expert."""
        return tuple(expert[parameter] for expert in self.experts)


class MergeMethod(ABC):
    """A merge method; stateless, so that one instance serves everywhere.

    Attributes:
        signature: what it takes.
    """

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

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """d loss / d leading parameter of every model that has one, and d loss / d `lambda` where there is one.

        What is constant almost everywhere (masks, elections, rescaling) and random draws are taken as given.

        Args:
            tensors: the parameter in every model, on the gradient's device or a CPU; never changed.
            parameters: the numbers of its group, of which there is a merge.
            gradient: d loss / d merged parameter, of the sources' shape; computed in float64 where it is that, else
                in float32, in blocks.

        Raises:
            RecipeError: the method is not differentiable.
        """
        raise self.not_differentiable

    @property
    def not_differentiable(self) -> RecipeError:
        """What a method without gradients raises."""
        return RecipeError(
            f"Gradients need a method that is differentiable, but '{self.signature.name}' is not. "
            "`paretomerge methods` says which are."
        )

    def is_constant(self, tensors: SourceTensors, parameters: GroupParameters) -> bool:
        """Whether the merged parameter is the same whatever the numbers that have a gradient are.

        Args:
            tensors: see `merge`.
            parameters: see `merge`.
        """
        return tensors.is_unchanged
