"""What a search will cost, before it is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.search import PreparedSearch
from service.search.cost_estimate import CostEstimate, estimate_cost
from workers.merge_memory import MergeMemory, RankingPlace, SourcePlace

Prepare = Callable[..., PreparedSearch]


def test_nothing_is_measured_unasked(prepare: Prepare) -> None:
    prepared = prepare()
    cost = estimate_cost(prepared, measure=False)
    assert (cost.n_groups, cost.n_dims) == (len(prepared.space.groups), prepared.space.n_dims)
    assert (cost.start_s, cost.evaluation_s, cost.search_s(300, 4)) == (None, None, None)


def test_the_candidate_has_the_size_of_its_dtype(prepare: Prepare) -> None:
    base = prepare().headers["base"]
    sizes = {
        dtype: estimate_cost(prepare(workers={"dtype": dtype}), measure=False).candidate_bytes
        for dtype in ("float32", "bfloat16", "float16")
    }
    n_elements = sum(base.tensors[name].n_elements for name in base.merged_names)
    assert sizes == {"float32": 4 * n_elements, "bfloat16": 2 * n_elements, "float16": 2 * n_elements}


def test_all_checkpoints_are_mapped(prepare: Prepare) -> None:
    prepared = prepare()
    files = [header.folder / file for header in prepared.headers.values() for file in header.files]
    on_disk = sum(file.stat().st_size for file in files)
    assert estimate_cost(prepared, measure=False).mapped_bytes == pytest.approx(on_disk, rel=0.05)


@pytest.mark.parametrize(
    ("workers", "sources", "rankings"),
    [
        ({}, "mapped", "memory"),
        ({"cache_gib": 0}, "mapped", "files"),
        ({"gpus_per_worker": 1}, "resident", "memory"),
        ({"gpus_per_worker": 1, "cache_gib": 0}, "streamed", "files"),
    ],
)
def test_what_a_worker_keeps_is_planned(prepare: Prepare, workers: dict[str, Any], sources: str, rankings: str) -> None:
    prepared = prepare(space={"method": "ties"}, workers=workers)
    memory = estimate_cost(prepared, measure=False).memory
    n_experts = len(prepared.headers) - 1
    assert (memory.sources, memory.rankings) == (sources, rankings)
    assert memory.ranking_bytes == 4 * n_experts * estimate_cost(prepare(), measure=False).candidate_bytes // 4


def test_a_candidate_is_made_and_scored_for_real(prepare: Prepare) -> None:
    cost = estimate_cost(prepare(), measure=True)
    assert cost.start_s is not None
    assert cost.make_s is not None
    assert cost.score_s is not None
    assert cost.evaluation_s == cost.make_s + cost.score_s
    assert 0 < cost.make_s < cost.start_s
    assert json.loads(json.dumps(cost.to_dict())) == cost.to_dict()


def test_workers_share_the_search() -> None:
    memory = MergeMemory(0, 0, SourcePlace.MAPPED, RankingPlace.NONE, 0)
    cost = CostEstimate(1, 1, 1, 1, memory, start_s=9.0, make_s=0.5, score_s=1.5)
    assert (cost.evaluation_s, cost.search_s(300, 1), cost.search_s(300, 4)) == (2.0, 600.0, 150.0)
