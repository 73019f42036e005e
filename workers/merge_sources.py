"""What is merged: the checkpoints' tensors, and which recipes fit them; shared by the candidates of every engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from search_spaces import METHOD_SIGNATURES, MergeRecipe
from search_spaces.errors import RecipeError
from workers.cache_folder import cache_folder
from workers.checkpoints import OpenedCheckpoint, check_compatible
from workers.merge_memory import MergeDevice, MergeMemory, RankingPlace, SourcePlace
from workers.merge_methods import GroupParameters, SourceTensors
from workers.merge_methods.magnitude_ranking import rank_all
from workers.merge_methods.ranking_files import RankingFiles
from workers.streamed_sources import StreamedSources, buffer_bytes


class MergeSources:
    """The tensors of a base and its experts, one parameter after the other.

    Args:
        checkpoints: model name → checkpoint, `base` first, then the experts in the recipe's order.
        names: the tensors that a recipe must cover, all of them in the base.
        dtype: of the merged tensors: torch's name of it.
        device: where they are merged.

    Raises:
        IncompatibleModelsError: see `check_compatible`.
    """

    def __init__(
        self,
        checkpoints: Mapping[str, OpenedCheckpoint],
        names: Iterable[str],
        dtype: str,
        device: MergeDevice | None = None,
    ) -> None:
        self.checkpoints = dict(checkpoints)
        self.dtype = dtype
        self.device = device or MergeDevice()
        # The fused loops do not look at lengths: tensors of another shape would be read past their end.
        base, *experts = ((name, checkpoint.header) for name, checkpoint in checkpoints.items())
        check_compatible(base[1], dict(experts))
        self._tensors = {name: self._read(name) for name in names}
        self._streamed: StreamedSources | None = None
        self._place()

    def _read(self, name: str) -> SourceTensors:
        base, *experts = (checkpoint.tensor(name) for checkpoint in self.checkpoints.values())
        return SourceTensors(name, base, tuple(experts))

    def tensors(self, name: str) -> SourceTensors:
        """One parameter in every model, where it lies between candidates."""
        return self._tensors[name]

    def on_device(self, name: str) -> SourceTensors:
        """The same where it is merged; what is streamed is there until the next is asked for."""
        return self._tensors[name] if self._streamed is None else self._streamed.one(self._tensors[name])

    def memory(self, method: str) -> MergeMemory:
        """Where all of it lies while a method's recipes are merged."""
        headers = {name: checkpoint.header for name, checkpoint in self.checkpoints.items()}
        return MergeMemory.of(headers, self._tensors, METHOD_SIGNATURES[method], self.device)

    def _place(self) -> None:
        # Of any method: where the sources lie does not depend on it.
        place = self.memory("linear").sources
        if place is SourcePlace.RESIDENT:
            for name, tensors in self._tensors.items():
                experts = tuple(expert.to(self.device.name) for expert in tensors.experts)
                self._tensors[name] = tensors.copied(tensors.base.to(self.device.name), experts)
        elif place is SourcePlace.STREAMED:
            self._streamed = StreamedSources(self.device.name, buffer_bytes(self._tensors.values()))

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

    def of(
        self, recipe: MergeRecipe, held: Mapping[str, GroupParameters] | None = None
    ) -> Iterator[tuple[SourceTensors, GroupParameters]]:
        """Every tensor with its group's numbers, in the order of `names`, whatever the groups are.

        Args:
            recipe: what is merged.
            held: tensor → the numbers of the recipe's method that it has already; where they are the recipe's, it is
                left out.

        Raises:
            RecipeError: see `check`.
            CheckpointError: rankings need files, which cannot be kept.
        """
        self.check(recipe)
        parameters = {
            name: numbers
            for numbers, names in ((GroupParameters.of(recipe, group), names) for group, names in recipe.groups.items())
            for name in names
        }
        held = held or {}
        wanted = [(t, parameters[name]) for name, t in self._tensors.items() if held.get(name) != parameters[name]]
        self._rank(recipe.method, wanted)
        return iter(wanted) if self._streamed is None else self._streamed.over(wanted)

    def _rank(self, method: str, wanted: Iterable[tuple[SourceTensors, GroupParameters]]) -> None:
        """Make the rankings that are not there, before the first tensor is merged: so threads can share them."""
        ranking = METHOD_SIGNATURES[method].ranking
        if ranking is None:
            return
        trimmed = [t for t, numbers in wanted if numbers.trims and not t.has_ranking(ranking.value)]
        if trimmed and self.memory(method).rankings is RankingPlace.FILES:
            files = self._ranking_files(self.memory(method).ranking_bytes)
            for tensors in trimmed:
                tensors.ranking_files = files
        rank_all(trimmed, ranking)

    def _ranking_files(self, size_bytes: int) -> RankingFiles:
        return RankingFiles(cache_folder("rankings"), size_bytes)
