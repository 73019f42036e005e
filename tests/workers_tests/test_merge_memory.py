"""Where a worker's sources and rankings lie, from headers alone."""

from __future__ import annotations

import pytest

from search_spaces import METHOD_SIGNATURES
from search_spaces.merge_recipe import BASE
from workers.checkpoints import read_header
from workers.merge_memory import MergeDevice, MergeMemory, RankingPlace, SourcePlace


def memory(models: dict[str, str], method: str, device: str, cache_bytes: int, is_taken: bool = False) -> MergeMemory:
    headers = {name: read_header(folder) for name, folder in models.items()}
    merged_on = MergeDevice(device, cache_bytes / 2**30, is_taken)
    return MergeMemory.of(headers, headers[BASE].merged_names, METHOD_SIGNATURES[method], merged_on)


@pytest.mark.parametrize("method", sorted(METHOD_SIGNATURES))
def test_only_what_sorts_has_rankings(models: dict[str, str], method: str) -> None:
    found = memory(models, method, "cpu", 2**40)
    assert (found.ranking_bytes > 0) == (METHOD_SIGNATURES[method].ranking is not None)
    assert (found.rankings is RankingPlace.NONE) == (found.ranking_bytes == 0)


def test_a_cpu_maps_its_sources_and_keeps_rankings_that_fit(models: dict[str, str]) -> None:
    needed = memory(models, "ties", "cpu", 0).ranking_bytes
    for cache_bytes, place in ((needed, RankingPlace.MEMORY), (needed - 1, RankingPlace.FILES)):
        found = memory(models, "ties", "cpu", cache_bytes)
        assert (found.sources, found.rankings) == (SourcePlace.MAPPED, place)
        assert found.worker_bytes == (needed if place is RankingPlace.MEMORY else 0)


def test_another_device_keeps_sources_first_and_rankings_beside_them(models: dict[str, str]) -> None:
    sizes = memory(models, "ties", "cuda", 0)
    both = sizes.source_bytes + sizes.ranking_bytes
    assert (sizes.sources, sizes.rankings) == (SourcePlace.STREAMED, RankingPlace.FILES)
    for cache_bytes, rankings in ((both, RankingPlace.MEMORY), (both - 1, RankingPlace.FILES)):
        found = memory(models, "ties", "cuda:0", cache_bytes)
        assert (found.sources, found.rankings) == (SourcePlace.RESIDENT, rankings)


def test_a_device_that_an_engine_takes_keeps_nothing(models: dict[str, str]) -> None:
    found = memory(models, "ties", "cuda", 2**40, is_taken=True)
    assert (found.sources, found.rankings) == (SourcePlace.STREAMED, RankingPlace.MEMORY)
    assert found.worker_bytes == found.ranking_bytes
