"""Plans from configurations: equal to those from headers, and related to each other as memory and time must be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import RecipeError, SpecificationError
from service.costs import Bandwidths, ModelPlan, PlannedWorkers, Speeds, plan_model
from service.costs.advice import advice
from service.search import prepare_search
from service.search.cost_estimate import estimate_cost
from service.specification import load_specification
from workers.checkpoints import CheckpointHeader
from workers.checkpoints.config_header import header_of_config
from workers.merge_memory import RankingPlace, SourcePlace
from workers.merge_sample import MergeRate
from workers.merge_traffic import MergeTraffic

REPOSITORY = Path(__file__).parents[3]
FAMILY = REPOSITORY / "service" / "demo" / "tiny_family"
RATE = MergeRate(make_s=1e-9, cpu_s=2e-9, rank_s=5e-8, memory=20.0, disk=2.0)
H100 = Speeds(Bandwidths(memory=100, device=3000, link=25, disk=5), traffic=MergeTraffic(100, 1e-9))


@pytest.fixture(scope="module")
def shapes() -> dict[str, CheckpointHeader]:
    names = ("llama-3-8b", "llama-3-70b", "mixtral-8x7b")
    return {name: header_of_config(REPOSITORY / "benchmarks" / "shapes" / f"{name}.json") for name in names}


@pytest.fixture
def small(shapes: dict[str, CheckpointHeader]) -> CheckpointHeader:
    return shapes["llama-3-8b"]


def on_gpu(header: CheckpointHeader, speeds: Speeds = H100, **changes: Any) -> ModelPlan:
    return plan_model(header, replace(PlannedWorkers(gpu_gib=80), **changes), speeds)


def test_a_configuration_plans_what_headers_plan(tmp_path: Path, write_specification: Any) -> None:
    path = write_specification(tmp_path, space={"method": "ties"})
    theirs = estimate_cost(prepare_search(load_specification(path)), measure=False)
    ours = plan_model(header_of_config(FAMILY / "base"), PlannedWorkers(method="ties"), Speeds())
    assert ours.memory.kept == theirs.memory
    assert ours.memory.candidate_bytes == theirs.candidate_bytes
    assert ours.checkpoint_bytes == theirs.mapped_bytes
    assert ours.dimensions["layer"] == (theirs.n_groups, theirs.n_dims)


def test_more_experts_are_more_bytes_and_seconds(small: CheckpointHeader) -> None:
    two, three = (plan_model(small, PlannedWorkers(method="ties", n_experts=n), Speeds(rate=RATE)) for n in (2, 3))
    assert two.checkpoint_bytes * 4 == three.checkpoint_bytes * 3
    assert two.memory.kept.ranking_bytes * 3 == three.memory.kept.ranking_bytes * 2
    assert two.node_bytes < three.node_bytes
    assert two.first_s is not None
    assert three.first_s == pytest.approx(two.first_s * 1.5)


@pytest.mark.parametrize("sources", ["resident", "streamed"])
def test_twice_the_bandwidth_is_half_the_time(small: CheckpointHeader, sources: str) -> None:
    cache_gib = 60 if sources == "resident" else 0
    names = ("memory", "device", "link")
    slow, fast = (
        on_gpu(small, replace(H100, bandwidths=Bandwidths(**dict.fromkeys(names, gb_s)),
                              traffic=MergeTraffic(100, 0)), cache_gib=cache_gib)
        for gb_s in (50.0, 100.0)
    )  # fmt: skip
    assert slow.memory.kept.sources == sources
    assert slow.time.make_s is not None
    assert fast.time.make_s == pytest.approx(slow.time.make_s / 2)


def test_a_cpu_with_twice_the_memory_bandwidth_merges_in_half_the_time(small: CheckpointHeader) -> None:
    here, there = (
        plan_model(small, PlannedWorkers(), Speeds(Bandwidths(memory=gb_s), RATE)).time.make_s for gb_s in (20.0, 40.0)
    )
    assert here is not None
    assert here == pytest.approx(small.n_parameters * RATE.make_s)
    assert there == pytest.approx(here / 2)


def test_many_workers_wait_for_the_memory_that_they_share(small: CheckpointHeader) -> None:
    plans = [plan_model(small, PlannedWorkers(count=n), Speeds(rate=RATE)) for n in (1, 100)]
    assert [plan.time.waits_for for plan in plans] == ["merging", "memory"]
    assert plans[1].node_bytes - plans[0].node_bytes == 99 * plans[0].memory.host_bytes


def test_sources_are_resident_if_and_only_if_they_fit(small: CheckpointHeader) -> None:
    found = {gib: on_gpu(small, gpu_gib=gib) for gib in (40, 64, 80)}
    assert [plan.memory.kept.sources for plan in found.values()] == ["streamed", "streamed", "resident"]
    assert all(plan.fits for plan in found.values())
    assert "sources are copied to the GPU" in advice(found[64], small)[0]
    assert advice(found[80], small) == []


def test_only_a_method_that_sorts_has_rankings(small: CheckpointHeader) -> None:
    sums, ties = (plan_model(small, PlannedWorkers(method=name), Speeds()) for name in ("task_arithmetic", "ties"))
    assert (sums.memory.kept.rankings, ties.memory.kept.rankings) == (RankingPlace.NONE, RankingPlace.FILES)
    assert (sums.memory.sorting_bytes, sums.first_s) == (0, 0.0)
    # The embeddings, in one thread.
    assert ties.memory.sorting_bytes == 24 * 128256 * 4096
    assert plan_model(small, PlannedWorkers(method="ties", n_threads=2), Speeds()).memory.sorting_bytes == (
        2 * ties.memory.sorting_bytes
    )


@pytest.mark.parametrize(
    ("shape", "engine", "n_gpus", "fits"),
    [
        ("llama-3-8b", "transformers", 1, True),
        ("llama-3-70b", "transformers", 1, False),
        ("llama-3-70b", "vllm", 4, True),
        ("mixtral-8x7b", "vllm", 2, True),
    ],
)
def test_gpus_by_memory_and_heads(
    shapes: dict[str, CheckpointHeader], shape: str, engine: str, n_gpus: int, fits: bool
) -> None:
    header = shapes[shape]
    plan = on_gpu(header, engine=engine)
    assert plan.gpus is not None
    assert (plan.gpus.n_gpus, plan.fits) == (n_gpus, fits)
    assert header.config["num_attention_heads"] % plan.gpus.n_gpus == 0
    if not fits:
        assert "`workers.engine: vllm` with `tensor_parallel: 4`" in advice(plan, header)[0]
    if engine == "vllm":
        assert plan.memory.kept.sources is SourcePlace.STREAMED


def test_what_no_gpus_hold_is_said(shapes: dict[str, CheckpointHeader]) -> None:
    """The masks of TIES lie beside vLLM's share, whatever the number of GPUs."""
    plan = on_gpu(shapes["llama-3-70b"], engine="vllm", method="ties")
    assert plan.gpus is not None
    assert (plan.gpus.n_gpus, plan.fits) == (4, False)
    assert "4 GPUs of 80 GiB are not enough" in advice(plan, shapes["llama-3-70b"])[0]


def test_pages_that_a_node_does_not_hold_are_read_from_the_disk(small: CheckpointHeader) -> None:
    large, middle, tiny = (
        plan_model(small, PlannedWorkers(dtype="bfloat16", node_gib=gib), Speeds(Bandwidths(disk=2), RATE))
        for gib in (100, 40, 16)
    )
    assert (large.time.waits_for, middle.time.waits_for) == ("merging", "disk")
    assert (large.fits, middle.fits, tiny.fits) == (True, True, False)
    assert advice(large, small) == []
    assert "reads from the disk" in advice(middle, small)[0]
    assert "take fewer workers" in advice(tiny, small)[0]


def test_what_is_not_known_is_asked_for(small: CheckpointHeader) -> None:
    plan = on_gpu(small, replace(H100, bandwidths=Bandwidths(device=3000)), cache_gib=0)
    assert plan.time.make_s is None
    assert plan.time.missing == ("memory", "link")
    assert "`--bandwidth memory=GB/s,link=GB/s`" in advice(plan, small)[-1]


def test_seconds_of_a_busy_machine_are_called_so(small: CheckpointHeader) -> None:
    busy = replace(RATE, make_s=4 * RATE.cpu_s)
    found = [plan_model(small, PlannedWorkers(n_threads=2), Speeds(rate=rate)) for rate in (RATE, busy)]
    assert [plan.slowdown for plan in found] == [1, 8]
    assert advice(found[0], small) == []
    assert "took 8.0 times as long" in advice(found[1], small)[0]


def test_plans_are_plain_values(small: CheckpointHeader) -> None:
    found = on_gpu(small, method="ties").to_dict()
    assert json.loads(json.dumps(found))["time"]["make_s"] == found["time"]["make_s"] > 0
    assert found["fits"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "tiez"}, "`--method` must be one of .*ties.*, but got 'tiez'"),
        ({"dtype": "int8"}, "`--dtype` must be one of auto, float32, .*'int8'"),
        ({"engine": "vllm"}, "`--engine vllm` .* `--gpu-gib 80`"),
        ({"granularity": "word"}, "`granularity` must be one of"),
    ],
)
def test_what_cannot_be_planned(small: CheckpointHeader, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        plan_model(small, PlannedWorkers(**changes), Speeds())


def test_a_method_takes_as_many_experts_as_it_can(small: CheckpointHeader) -> None:
    with pytest.raises(RecipeError, match="slerp"):
        plan_model(small, PlannedWorkers(method="slerp", n_experts=4), Speeds())


@pytest.mark.parametrize("text", ["device", "device=fast", "wheel=3", "link=0", "link=inf", "disk=nan"])
def test_bandwidths_are_numbers_with_known_names(text: str) -> None:
    with pytest.raises(SpecificationError, match=f"`--bandwidth` .* but got '{text}'"):
        Bandwidths.parse(text)


def test_bandwidths_are_read_and_filled_up() -> None:
    given = Bandwidths.parse("device=3000, link=25")
    assert given == Bandwidths(device=3000, link=25)
    assert given.or_else(Bandwidths(memory=20, link=1)) == Bandwidths(20, 3000, 25)
    assert (given.seconds("link", 50e9), given.seconds("disk", 1)) == (2.0, None)
