"""The live candidate: one model in memory whose parameters are overwritten, recipe after recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint
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
        CheckpointError: the model has a parameter that the base's checkpoint lacks.
    """

    def __init__(self, model: Any, checkpoints: Mapping[str, MappedCheckpoint]) -> None:
        self.model = model
        self._targets = _targets(model, checkpoints[BASE])
        dtypes = {str(target.dtype).removeprefix("torch.") for target in self._targets.values()}
        self.sources = MergeSources(checkpoints, self._targets, ", ".join(sorted(dtypes)))

    @torch.no_grad()
    def make(self, recipe: MergeRecipe) -> None:
        """Write the recipe's weights into the model.

        Raises:
            RecipeError: see `MergeSources.check`.
            CandidateError: see `MergeMethod.merge`.
        """
        method = MERGE_METHODS[recipe.method]
        for tensors, parameters in self.sources.of(recipe):
            method.merge(tensors, parameters, self._targets[tensors.name])

    def merged_model(self, recipe: MergeRecipe) -> Any:
        """The model with the recipe's weights, ready to be saved; see `make`."""
        self.make(recipe)
        return self.model


def _targets(model: Any, base: MappedCheckpoint) -> dict[str, Tensor]:
    """Checkpoint tensor → the model's parameter to write; tied parameters under one name."""
    targets: dict[str, Tensor] = {}
    missing = []
    for name, parameter in model.named_parameters():
        if name in base:
            targets[name] = parameter.data
        else:
            missing.append(name)
    if missing:
        raise CheckpointError(
            f"The base's checkpoint must hold every parameter of {type(model).__name__}, but lacks "
            f"{', '.join(missing[:3])}. Its architecture stores weights under other names than its model does."
        )
    return targets
