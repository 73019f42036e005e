"""The same merges made here, by a live candidate."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from workers.checkpoints import MappedCheckpoint
from workers.live_candidate import LiveCandidate


class OurMerges:
    """Keeps the candidate of the last models: what depends on them alone is worked out once."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._candidate: LiveCandidate | None = None

    def merged(self, recipe: MergeRecipe) -> dict[str, Tensor]:
        """The tensors of the merged model; overwritten by the next call."""
        candidate = self._candidate_of(recipe)
        candidate.make(recipe)
        return {name: parameter.data for name, parameter in candidate.model.named_parameters()}

    def _candidate_of(self, recipe: MergeRecipe) -> LiveCandidate:
        from transformers import AutoModelForCausalLM

        key = (tuple(recipe.folders.items()), recipe.dtype)
        if self._candidate is None or key != self._key:
            model = AutoModelForCausalLM.from_pretrained(recipe.base, dtype=getattr(torch, recipe.dtype))
            checkpoints = {name: MappedCheckpoint(Path(folder)) for name, folder in recipe.folders.items()}
            self._key, self._candidate = key, LiveCandidate(model, checkpoints)
        return self._candidate
