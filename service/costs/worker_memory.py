"""What one worker has of its own: in main memory, and on its GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from search_spaces.merge_recipe import BASE
from service.costs.planned_workers import PlannedWorkers, element_bytes
from service.costs.ranking_memory import RankingMemory
from service.costs.scoring_memory import ScoringMemory
from workers.checkpoints import CheckpointHeader
from workers.merge_memory import MergeDevice, MergeMemory, RankingPlace, SourcePlace

_MIB, _GIB = 2**20, 2**30
# Measured, with torch, transformers and ours loaded; not the pages of libraries, which processes share.
_PROCESS_BYTES = 290 * _MIB
# Assumed, for none of it was run on a GPU: CUDA's context and the libraries' workspaces on the device, and their share
# of main memory.
_DEVICE_CONTEXT_BYTES = _GIB
_CUDA_PROCESS_BYTES = 3 * _GIB
# Of a GPU's memory: see `vllm_engine`.
_VLLM_SHARE = 0.7
# They work on whole tensors, and hold float32 copies of these beside every model's.
_WHOLE_TENSORS = ("arcee_fusion", "karcher", "multislerp", "sce")
_FLOAT32_BYTES, _INDEX_BYTES = 4, 8
# See `StreamedSources`.
_N_BUFFERS = 2
# Mixtures of experts: transformers stacks a layer's experts, so that the base is copied when it is loaded.
_STACKED = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """Bytes of one worker. On a CPU `device_bytes` is 0.

    Args:
        candidate_bytes: of the whole live model.
        merging_bytes: what merging holds beside it, at most.
        sorting_bytes: what the first candidate takes, where its method sorts.
        scoring: of a batch.
        kept: between candidates.
        host_bytes: of main memory at most; pages that a node's workers share are apart.
        device_bytes: of each GPU at most.
    """

    candidate_bytes: int
    merging_bytes: int
    sorting_bytes: int
    scoring: ScoringMemory
    kept: MergeMemory
    host_bytes: int
    device_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MemoryOfWorkers:
    """Works it out.

    Args:
        header: of a model; all have its shape.
        planned: the workers.
        dtype: of candidates.
    """

    header: CheckpointHeader
    planned: PlannedWorkers
    dtype: str

    @property
    def headers(self) -> Mapping[str, CheckpointHeader]:
        """Model name → header, base first."""
        return dict.fromkeys((BASE, *self.planned.experts), self.header)

    def on_gpus(self, n_gpus: int) -> WorkerMemory:
        """Of a worker whose candidate is spread over so many GPUs."""
        found = self._sized(self.cache_gib)
        host = self._host_bytes(found, n_gpus)
        return replace(found, host_bytes=host, device_bytes=self._device_bytes(found, n_gpus))

    def on_cpu(self) -> WorkerMemory:
        """Of a worker without GPUs: the most of its start, its first candidate and those that follow."""
        found = self._sized(self.planned.default_cache_gib)
        at_first = (found.candidate_bytes if self._is_copied else 0) + found.sorting_bytes
        later = found.candidate_bytes + found.kept.worker_bytes
        later += max(found.merging_bytes, found.scoring.total_bytes)
        return replace(found, host_bytes=_PROCESS_BYTES + max(at_first, later))

    @property
    def cache_gib(self) -> float:
        """What is given, or what a GPU has left, in whole GiB."""
        planned = self.planned
        if planned.cache_gib is not None or planned.engine == "vllm":
            return planned.default_cache_gib
        found = self._sized(0)
        working = max(found.merging_bytes, found.sorting_bytes, found.scoring.total_bytes)
        return max(0, (planned.gpu_bytes - _DEVICE_CONTEXT_BYTES - found.candidate_bytes - working) // _GIB)

    def _sized(self, cache_gib: float) -> WorkerMemory:
        planned = self.planned
        device = MergeDevice(planned.device, cache_gib, is_taken=planned.engine == "vllm")
        kept = MergeMemory.of(self.headers, self.header.merged_names, planned.signature, device)
        width = element_bytes(self.dtype)
        return WorkerMemory(
            candidate_bytes=width * self._n_elements,
            merging_bytes=self._merging_bytes(kept),
            sorting_bytes=self._sorting_bytes(kept),
            scoring=ScoringMemory.of(self.header.config, planned.max_batch_tokens, width),
            kept=kept,
            host_bytes=0,
        )

    def _host_bytes(self, found: WorkerMemory, n_gpus: int) -> int:
        is_vllm = self.planned.engine == "vllm"
        own = _CUDA_PROCESS_BYTES
        if found.kept.sources is SourcePlace.STREAMED:
            own += _N_BUFFERS * self._largest_sources
            if found.kept.rankings is RankingPlace.MEMORY:
                own += found.kept.ranking_bytes
            own += found.sorting_bytes  # what is sorted lies in main memory
        # Loaded there, and moved to the device.
        loaded = found.candidate_bytes if self._is_copied and not is_vllm else 0
        return max(own, _CUDA_PROCESS_BYTES + loaded) * (n_gpus if is_vllm else 1)

    def _device_bytes(self, found: WorkerMemory, n_gpus: int) -> int:
        is_resident = found.kept.sources is SourcePlace.RESIDENT
        kept = found.kept.worker_bytes if is_resident else 0
        # What is resident is sorted there, and beside the sources.
        sorting = found.kept.source_bytes + found.sorting_bytes if is_resident else 0
        working = max(found.merging_bytes + kept, sorting)
        if self.planned.engine != "vllm":
            return _DEVICE_CONTEXT_BYTES + found.candidate_bytes + max(working, kept + found.scoring.total_bytes)
        # vLLM's share holds its part of the model and of a batch; what is merged must lie beside the share.
        reserved = int(_VLLM_SHARE * self.planned.gpu_bytes)
        of_vllm = (found.candidate_bytes + found.scoring.total_bytes) // n_gpus
        return max(of_vllm, reserved) + _DEVICE_CONTEXT_BYTES + working

    def _merging_bytes(self, kept: MergeMemory) -> int:
        largest, planned = self._largest, self.planned
        streamed = _N_BUFFERS * self._largest_sources if kept.sources is SourcePlace.STREAMED else 0
        # A whole tensor before it is vLLM's.
        merged = element_bytes(self.dtype) * largest if planned.engine == "vllm" else 0
        if planned.method in _WHOLE_TENSORS:
            threads = planned.n_threads if planned.device == "cpu" else 1
            return streamed + merged + threads * (planned.n_experts + 2) * _FLOAT32_BYTES * largest
        if planned.signature.ranking is None or planned.device == "cpu":
            return streamed + merged
        # Plain torch makes a mask of each ranking, from indices of 8 bytes.
        return streamed + merged + largest * (planned.n_experts + _INDEX_BYTES)

    def _sorting_bytes(self, kept: MergeMemory) -> int:
        ranking, planned = self.planned.signature.ranking, self.planned
        if ranking is None:
            return 0
        is_kept = kept.rankings is RankingPlace.MEMORY
        return RankingMemory(ranking, self._shapes, planned.n_experts, planned.n_threads, is_kept).peak_bytes

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.header.tensors[name].shape for name in self.header.merged_names)

    @property
    def _n_elements(self) -> int:
        return sum(map(prod, self._shapes))

    @property
    def _largest(self) -> int:
        return max(map(prod, self._shapes))

    @property
    def _largest_sources(self) -> int:
        """Bytes of the largest tensor in all models."""
        sizes = (self.header.tensors[name].size_bytes for name in self.header.merged_names)
        return max(sizes) * (1 + self.planned.n_experts)

    @property
    def _is_copied(self) -> bool:
        """Whether the base is in memory of its own before the first candidate: else its pages are the file's."""
        config: Mapping[str, Any] = self.header.config
        is_stacked = any(isinstance(config.get(name), int) and config[name] > 1 for name in _STACKED)
        stored = {tensor.dtype for tensor in self.header.weights.values() if tensor.is_float}
        names = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
        return is_stacked or stored != {names[self.dtype]}
