"""The candidate inside vLLM: recipes go there, weights are merged there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import OpenedCheckpoint
from workers.inference_engines.opening import load_checkpoint
from workers.inference_engines.vllm_engine import VllmEngine
from workers.live_candidate import LiveCandidate
from workers.merge_memory import DEFAULT_CACHE_GIB
from workers.merge_sources import MergeSources


class VllmCandidate:
    """Overwrites the weights of a running vLLM, recipe after recipe.

    Args:
        engine: over the base.
        checkpoints: model name → checkpoint, `base` first, then the experts in the recipe's order.
        cache_gib: see `MergeDevice`; of each of vLLM's processes.

    Raises:
        IncompatibleModelsError: see `check_compatible`.
    """

    def __init__(
        self, engine: VllmEngine, checkpoints: Mapping[str, OpenedCheckpoint], cache_gib: float = DEFAULT_CACHE_GIB
    ) -> None:
        self.engine = engine
        self._cache_gib = cache_gib
        self.sources = MergeSources(checkpoints, checkpoints[BASE].header.merged_names, engine.options.dtype)
        self._open_checkpoints()

    @property
    def _models(self) -> dict[str, str]:
        # vLLM's processes may have another working folder.
        headers = {name: checkpoint.header for name, checkpoint in self.sources.checkpoints.items()}
        return {name: header.reference.notation for name, header in headers.items()}

    def _open_checkpoints(self) -> None:
        self.engine.ask_workers(
            "open_checkpoints", self._models, self.sources.dtype, self.engine.head_source, self._cache_gib
        )

    def make(self, recipe: MergeRecipe) -> None:
        """Merge the recipe's weights into vLLM; starts it again where it was lost.

        Raises:
            RecipeError: see `MergeSources.check`.
            CandidateError: see `MergeMethod.merge`; or vLLM's processes are lost.
        """
        self.sources.check(recipe)
        if not self.engine.is_running:
            self.engine.start()
            self._open_checkpoints()
        failures = self.engine.ask_workers("apply_merge", recipe.to_dict())
        self.engine.forget_prefixes()
        for failure in filter(None, failures):
            raise CandidateError(*failure)

    def merged_model(self, recipe: MergeRecipe) -> Any:
        """The merge as a transformers model, made on the CPU and ready to be saved; vLLM stays as it is.

        Raises:
            RecipeError: see `MergeSources.check`.
            CandidateError: see `MergeMethod.merge`.
        """
        folder = self.sources.checkpoints[BASE].header.folder
        model, _ = load_checkpoint(str(folder), self.sources.dtype, "cpu")
        return LiveCandidate(model, self.sources.checkpoints).merged_model(recipe)
