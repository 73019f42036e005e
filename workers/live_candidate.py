"""The live candidate: one model in memory whose parameters are overwritten, recipe after recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from search_spaces.merge_recipe import BASE
from workers.checkpoint_places import checkpoint_places, write_whole
from workers.checkpoints import OpenedCheckpoint
from workers.merge_methods import MERGE_METHODS
from workers.merge_sources import MergeSources


class LiveCandidate:
    """Merges in place: no disk, no second copy; what depends on the checkpoints alone is done once.

    Args:
        model: of the base's architecture; its parameters are overwritten. Tied weights stay tied:
            each storage is written once.
        checkpoints: model name → checkpoint, `base` first, then the experts in the recipe's order.

    Raises:
        IncompatibleModelsError: see `check_compatible`.
        CheckpointError: see `checkpoint_places`.
    """

    def __init__(self, model: Any, checkpoints: Mapping[str, OpenedCheckpoint]) -> None:
        self.model = model
        self._targets = checkpoint_places(model, checkpoints[BASE])
        self.sources = MergeSources(checkpoints, self._targets, _dtype(self._targets.values()))

    @torch.no_grad()
    def make(self, recipe: MergeRecipe) -> None:
        """Write the recipe's weights into the model.

        Raises:
            RecipeError: see `MergeSources.check`.
            CandidateError: see `MergeMethod.merge`.
        """
        method = MERGE_METHODS[recipe.method]
        for tensors, parameters in self.sources.of(recipe):
            write_whole(self._targets[tensors.name], partial(method.merge, tensors, parameters))

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
