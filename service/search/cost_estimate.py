"""What a search will cost, before it is run: dimensions, memory, and a candidate made and scored for real."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from search_spaces import METHOD_SIGNATURES
from search_spaces.merge_recipe import BASE
from service.search.preparation import PreparedSearch
from workers.evaluation import Assignment
from workers.merge_memory import MergeDevice, MergeMemory

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The figures of `paretomerge plan`.

    Args:
        n_groups: parameter groups per model.
        n_dims: numbers of a trial.
        candidate_bytes: of a worker's live model.
        mapped_bytes: of the checkpoints, whose pages all workers of a node share.
        memory: what a worker keeps beside its candidate.
        start_s: until a worker has loaded its models; None where nothing was measured, as below.
        make_s: to write one candidate.
        score_s: to score it.
    """

    n_groups: int
    n_dims: int
    candidate_bytes: int
    mapped_bytes: int
    memory: MergeMemory
    start_s: float | None = None
    make_s: float | None = None
    score_s: float | None = None

    @property
    def evaluation_s(self) -> float | None:
        """Seconds for one candidate."""
        return None if self.make_s is None or self.score_s is None else self.make_s + self.score_s

    def search_s(self, evaluations: int, n_workers: int) -> float | None:
        """Seconds for the whole search, if the workers share neither cores nor memory bandwidth."""
        return None if self.evaluation_s is None else evaluations * self.evaluation_s / n_workers

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


def estimate_cost(prepared: PreparedSearch, measure: bool) -> CostEstimate:
    """Work out the figures.

    Args:
        prepared: the search.
        measure: start a worker in this process and evaluate a landmark twice: the first time compiles and warms up.

    Raises:
        CheckpointError: a model cannot be loaded after all.
    """
    base = prepared.headers[BASE]
    n_elements = sum(base.tensors[name].n_elements for name in base.merged_names)
    static = CostEstimate(
        n_groups=len(prepared.space.groups),
        n_dims=prepared.space.n_dims,
        candidate_bytes=n_elements * _BYTES[prepared.space.options.dtype],
        mapped_bytes=sum(header.size_bytes for header in prepared.headers.values()),
        memory=_memory(prepared),
    )
    return _measured(prepared, static) if measure else static


def _memory(prepared: PreparedSearch) -> MergeMemory:
    """As a worker will decide it."""
    names, signature = prepared.headers[BASE].merged_names, METHOD_SIGNATURES[prepared.space.options.method]
    workers = prepared.specification.workers
    device = MergeDevice(prepared.device, workers.cache_gib, is_taken=workers.engine == "vllm")
    return MergeMemory.of(prepared.headers, names, signature, device)


def _measured(prepared: PreparedSearch, static: CostEstimate) -> CostEstimate:
    from workers.worker_pools import InProcessPool

    started = time.perf_counter()
    with InProcessPool(prepared.worker_setup()) as pool:
        start_s = time.perf_counter() - started
        assignment = Assignment(prepared.space.landmarks()[-1].recipe, prepared.objectives)
        pool.evaluate(assignment)
        evaluation = pool.evaluate(assignment)
    return replace(static, start_s=start_s, make_s=evaluation.make_s, score_s=evaluation.score_s)
