"""The live candidate: one model in memory whose parameters are overwritten, recipe after recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from search_spaces.merge_recipe import BASE
from workers.checkpoint_places import checkpoint_places, places_in, write_whole
from workers.checkpoints import OpenedCheckpoint
from workers.merge_kernels.block_threads import for_each
from workers.merge_kernels.one_thread import one_thread
from workers.merge_memory import DEFAULT_CACHE_GIB, MergeDevice
from workers.merge_methods import MERGE_METHODS, GroupParameters, MergeMethod, SourceTensors
from workers.merge_sources import MergeSources


class LiveCandidate:
    """Merges in place: no disk, no second copy; what depends on the checkpoints alone is done once.

    It remembers which numbers each tensor was merged with, and writes those alone whose numbers are others.

    Args:
        model: of the base's architecture; its parameters are overwritten. Tied weights stay tied: each storage is
            written once. They are the candidate's own: who else writes to them calls `forget`, unless it is by torch's
            own operations on the parameters, which are seen.
        checkpoints: model name → checkpoint, `base` first, then the experts in the recipe's order.
        cache_gib: see `MergeDevice`; the device is the model's.

    Attributes:
        places: see `checkpoint_places`.
        sources: what is merged into them.

    Raises:
        IncompatibleModelsError: see `check_compatible`.
        CheckpointError: see `checkpoint_places`.
    """

    def __init__(
        self, model: Any, checkpoints: Mapping[str, OpenedCheckpoint], cache_gib: float = DEFAULT_CACHE_GIB
    ) -> None:
        self.model = model
        self.places = checkpoint_places(model, checkpoints[BASE])
        dtype, device = _dtype(self.places.values()), next(iter(self.places.values())).device
        self.sources = MergeSources(checkpoints, self.places, dtype, MergeDevice(str(device), cache_gib))
        self._held: dict[str, GroupParameters] = {}
        self._held_method, self._held_versions = "", self._versions()

    @cached_property
    def parameter_places(self) -> list[tuple[Tensor, tuple[str, ...]]]:
        """See `places_in`."""
        return places_in(self.model, self.places)

    @torch.no_grad()
    def make(self, recipe: MergeRecipe) -> None:
        """Write the recipe's weights into the model.

        Raises:
            RecipeError: see `MergeSources.check`.
            CandidateError: see `MergeMethod.merge`.
        """
        if recipe.method != self._held_method or self._versions() != self._held_versions:
            self.forget()
        method, self._held_method = MERGE_METHODS[recipe.method], recipe.method
        pairs = self.sources.of(recipe, self._held)
        if self.sources.device.maps_files:
            self._write_side_by_side(method, list(pairs))
        else:
            for pair in pairs:  # each is gone when the next one comes
                self._write(method, pair)

    def _write_side_by_side(self, method: MergeMethod, pairs: Sequence[tuple[SourceTensors, GroupParameters]]) -> None:
        """Each thread has its own tensors, for to wake one for a part takes as long as to merge most tensors does.

        Those alone are shared that all the others would wait for.
        """
        sizes, n_threads = [tensors.base.numel() for tensors, _ in pairs], torch.get_num_threads()
        by_size = sorted(zip(sizes, pairs, strict=True), key=lambda sized: sized[0], reverse=True)
        n_shared = sum(size * n_threads > sum(sizes) for size in sizes)
        for _, pair in by_size[:n_shared]:
            self._write(method, pair)
        with one_thread():
            # The largest first, so that all threads end together.
            for_each(partial(self._write, method), [pair for _, pair in by_size[n_shared:]], n_threads)

    def _write(self, method: MergeMethod, pair: tuple[SourceTensors, GroupParameters]) -> None:
        tensors, parameters = pair
        # A merge that fails may have written a part.
        self._held.pop(tensors.name, None)
        write_whole(self.places[tensors.name], partial(method.merge, tensors, parameters))
        self._held[tensors.name] = parameters

    def forget(self) -> None:
        """Write every tensor at the next `make`: the model is not what this left."""
        self._held.clear()
        self._held_versions = self._versions()

    def _versions(self) -> tuple[int, ...]:
        """torch counts what is written to a parameter, but not what is written here, to the data behind it."""
        return tuple(parameter._version for parameter in self.model.parameters())

    def merged_model(self, recipe: MergeRecipe) -> Any:
        """The model with the recipe's weights, ready to be saved; see `make`."""
        self.make(recipe)
        return self.model


def _dtype(targets: Iterable[Tensor]) -> str:
    """torch's name of what most numbers are; some models keep a router or a norm in float32."""
    sizes: Counter[torch.dtype] = Counter()
    for target in targets:
        sizes[target.dtype] += target.numel()
    return str(sizes.most_common(1)[0][0]).removeprefix("torch.")
