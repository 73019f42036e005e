"""What is merged: the checkpoints' tensors, and which recipes fit them; shared by the candidates of every engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from search_spaces import MergeRecipe
from search_spaces.errors import RecipeError
from workers.checkpoints import OpenedCheckpoint, check_compatible
from workers.merge_methods import GroupParameters, SourceTensors


class MergeSources:
    """The tensors of a base and its experts, one parameter after the other.

    Args:
        checkpoints: model name → checkpoint, `base` first, then the experts in the recipe's order.
        names: the tensors that a recipe must cover, all of them in the base.
        dtype: of the merged tensors: torch's name of it.

    Raises:
        IncompatibleModelsError: see `check_compatible`.
    """

    def __init__(self, checkpoints: Mapping[str, OpenedCheckpoint], names: Iterable[str], dtype: str) -> None:
        self.checkpoints = dict(checkpoints)
        self.dtype = dtype
        # The fused loops do not look at lengths: tensors of another shape would be read past their end.
        base, *experts = ((name, checkpoint.header) for name, checkpoint in checkpoints.items())
        check_compatible(base[1], dict(experts))
        self._tensors = {name: self._read(name) for name in names}

    def _read(self, name: str) -> SourceTensors:
        base, *experts = (checkpoint.tensor(name) for checkpoint in self.checkpoints.values())
        return SourceTensors(name, base, tuple(experts))

    def check(self, recipe: MergeRecipe) -> None:
        """Refuse a recipe that is not of these models.

        Raises:
            RecipeError: the recipe is of other models or of another dtype, or does not cover every tensor.
        """
        if tuple(recipe.folders) != tuple(self.checkpoints):
            raise RecipeError(
                f"The recipe must merge {', '.join(self.checkpoints)}, but names {', '.join(recipe.folders)}."
            )
        if recipe.dtype != self.dtype:
            raise RecipeError(f"The recipe's `dtype` must be the candidate's, {self.dtype}, but is {recipe.dtype}.")
        given = {name for names in recipe.groups.values() for name in names}
        if given != self._tensors.keys():
            odd = sorted(given ^ self._tensors.keys())
            raise RecipeError(f"The recipe's groups must hold the model's tensors, but differ in {', '.join(odd[:3])}.")

    def of(self, recipe: MergeRecipe) -> Iterator[tuple[SourceTensors, GroupParameters]]:
        """Every tensor with its group's numbers, in the order of `names`, whatever the groups are.

        Raises:
            RecipeError: see `check`.
        """
        self.check(recipe)
        parameters = {
            name: numbers
            for numbers, names in ((GroupParameters.of(recipe, group), names) for group, names in recipe.groups.items())
            for name in names
        }
        return ((tensors, parameters[name]) for name, tensors in self._tensors.items())
