"""A sample is merged by the code that merges candidates, and counted where that is plain torch."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest

from search_spaces import METHOD_SIGNATURES
from workers.checkpoints import CheckpointHeader, read_header
from workers.checkpoints.config_header import header_of_config
from workers.device_bandwidths import device_gb_s, link_gb_s
from workers.merge_sample import SampledMerge, measure_merging
from workers.merge_traffic import count_traffic

SHAPE = Path(__file__).parents[2] / "benchmarks" / "shapes" / "llama-3-8b.json"


@pytest.fixture(scope="module")
def header() -> CheckpointHeader:
    return read_header(Path(__file__).parents[2] / "service" / "demo" / "tiny_family" / "base")


@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
def test_a_sample_says_how_fast(header: CheckpointHeader, method: str) -> None:
    found = measure_merging(SampledMerge(header, method, 2, "float32"))
    assert min(found.make_s, found.cpu_s, found.memory, found.disk) > 0
    assert (found.rank_s > 0) == (METHOD_SIGNATURES[method].ranking is not None)


def test_of_a_large_layer_rows_are_left_out() -> None:
    large = SampledMerge(header_of_config(SHAPE), "ties", 2, "bfloat16")
    whole = {shape[1:] for shape in (t.shape for t in large.header.tensors.values()) if len(shape) > 1}
    assert {shape[1:] for shape in large.shapes if len(shape) > 1} <= whole
    assert 0.9 < sum(map(prod, large.shapes)) * 2 * 4 / 2**28 < 1.1


def test_of_small_layers_there_are_all(header: CheckpointHeader) -> None:
    inside = [t.shape for name, t in header.weights.items() if ".layers." in name]
    assert sorted(SampledMerge(header, "ties", 2, "float32").shapes) == sorted(inside)


def test_traffic_grows_with_experts_and_masks() -> None:
    two, three, ties = (
        count_traffic(method, n, 2, "bfloat16") for method, n in (("linear", 2), ("linear", 3), ("ties", 2))
    )
    # Of each model 2 bytes are read and 4 written, then 8 read and 4 written; a weight is next to nothing.
    assert three.n_bytes - two.n_bytes == pytest.approx(18, abs=0.1)
    assert ties.n_bytes > two.n_bytes
    assert ties.n_operations > two.n_operations


def test_copies_are_timed() -> None:
    assert min(device_gb_s("cpu"), link_gb_s("cpu")) > 0
