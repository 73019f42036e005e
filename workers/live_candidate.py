"""The live candidate: one model in memory whose parameters are overwritten, recipe after recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError, RecipeError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint, check_compatible
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors


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
        self.checkpoints = dict(checkpoints)
        # The fused loops do not look at lengths: tensors of another shape would be read past their end.
        base, *experts = ((name, checkpoint.header) for name, checkpoint in checkpoints.items())
        check_compatible(base[1], dict(experts))
        self._targets = _targets(model, self.checkpoints[BASE])
        self._sources = {name: self._read(name) for name in self._targets}

    def _read(self, name: str) -> SourceTensors:
        base, *experts = (checkpoint.tensor(name) for checkpoint in self.checkpoints.values())
        return SourceTensors(name, base, tuple(experts))

    @torch.no_grad()
    def make(self, recipe: MergeRecipe) -> None:
        """Write the recipe's weights into the model.

        Raises:
            RecipeError: the recipe is of other models, or does not cover every parameter.
            CandidateError: see `MergeMethod.merge`.
        """
        self._check(recipe)
        method = MERGE_METHODS[recipe.method]
        for group, names in recipe.groups.items():
            parameters = GroupParameters.of(recipe, group)
            for name in names:
                method.merge(self._sources[name], parameters, self._targets[name])

    def _check(self, recipe: MergeRecipe) -> None:
        if tuple(recipe.folders) != tuple(self.checkpoints):
            raise RecipeError(
                f"The recipe must merge {', '.join(self.checkpoints)}, but names {', '.join(recipe.folders)}."
            )
        dtypes = {str(target.dtype).removeprefix("torch.") for target in self._targets.values()}
        if dtypes != {recipe.dtype}:
            raise RecipeError(
                f"The recipe's `dtype` must be the candidate's, {', '.join(dtypes)}, but is {recipe.dtype}."
            )
        given = {name for names in recipe.groups.values() for name in names}
        if given != self._targets.keys():
            odd = sorted(given ^ self._targets.keys())
            raise RecipeError(f"The recipe's groups must hold the model's tensors, but differ in {', '.join(odd[:3])}.")


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
