"""Runs inside vLLM's workers: merges there, so that only recipes travel and never weights."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import parent_process
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError
from search_spaces.merge_recipe import BASE
from workers.checkpoints.opening import open_checkpoints
from workers.merge_memory import MergeDevice
from workers.merge_methods import MERGE_METHODS
from workers.merge_sources import MergeSources

# Where checkpoints have a head of its own.
HEAD = "lm_head.weight"
# Why a candidate could not be made: `CandidateError`'s arguments.
Failure = tuple[str, str]


class MergeExtension:
    """What vLLM adds to its worker class, given as `worker_extension_cls`.

    Every worker maps the same files, whose pages they share. Under tensor parallelism each one merges
    whole tensors and keeps its part of them.
    """

    def open_checkpoints(self, models: dict[str, str], dtype: str, head_source: str, cache_gib: float) -> None:
        """Map the checkpoints to merge; once, before the first `apply_merge`.

        Args:
            models: see `open_checkpoints` of `workers.checkpoints.opening`.
            dtype: see `MergeSources`.
            head_source: see `VllmEngine`.
            cache_gib: see `MergeDevice`.
        """
        checkpoints = open_checkpoints(models)
        worker: Any = self
        device = MergeDevice(str(worker.device), cache_gib, is_taken=True)
        self.merge_sources = MergeSources(checkpoints, checkpoints[BASE].header.merged_names, dtype, device)
        self.head_source = head_source

    def end_with(self, owner_pid: int) -> None:
        """End vLLM's processes once another one has ended, in whatever way.

        Args:
            owner_pid: the process that started them, on the same machine.
        """
        Thread(target=_end_with, args=(os.pidfd_open(owner_pid),), daemon=True).start()

    def apply_merge(self, recipe: dict[str, Any]) -> Failure | None:
        """Merge into the running model.

        Args:
            recipe: see `MergeRecipe.to_dict`.

        Returns:
            Why there is no such candidate. An error would lose its type between the processes.
        """
        worker: Any = self
        failures: list[Failure] = []
        merged = _merged(self.merge_sources, MergeRecipe.from_dict(recipe), worker.device, failures)
        worker.reload_weights(weights_iterator=_with_head(merged, self.head_source))
        return failures[0] if failures else None


def _end_with(owner: int) -> None:
    """Wait for a process, given as a file descriptor that is readable when it has ended."""
    select.select([owner], [], [])
    # The one that started this worker; killed, for it waits for work and hears nothing else. The others follow it.
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(parent.pid, signal.SIGKILL)
    os._exit(1)


def _merged(
    sources: MergeSources, recipe: MergeRecipe, device: torch.device, failures: list[Failure]
) -> Iterator[tuple[str, Tensor]]:
    """Checkpoint tensors of the merge; after a failure, which is noted, the base's.

    vLLM reloads whole models only: half of one would be left between two states.
    """
    method, dtype = MERGE_METHODS[recipe.method], getattr(torch, recipe.dtype)
    for tensors, parameters in sources.of(recipe):
        # A new one each time: vLLM holds on to what it is given until all parts of a layer are there.
        merged = torch.empty(tensors.base.shape, dtype=dtype, device=device)
        if not failures:
            try:
                method.merge(tensors, parameters, merged)
            except CandidateError as error:
                failures.append((error.reason, str(error)))
        if failures:
            merged.copy_(tensors.base)
        yield tensors.name, merged


def _with_head(weights: Iterator[tuple[str, Tensor]], source: str) -> Iterator[tuple[str, Tensor]]:
    """The same, and once more as the head what is embeddings and head in one; with no `source`, the same alone."""
    for name, tensor in weights:
        yield name, tensor
        if name == source:
            yield HEAD, tensor
