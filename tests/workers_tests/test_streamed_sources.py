"""Sources that are copied tensor by tensor; on the CPU, where the copies are the same."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from workers.merge_methods import SourceTensors
from workers.streamed_sources import StreamedSources, buffer_bytes

SHAPES: list[tuple[int, ...]] = [(3,), (40, 5), (), (7,), (1, 2, 3)]


def sources(dtype: torch.dtype) -> list[SourceTensors]:
    generator = torch.Generator().manual_seed(0)
    many = ([torch.randn(shape, generator=generator).to(dtype) for _ in range(3)] for shape in SHAPES)
    return [SourceTensors(str(i), base, tuple(experts)) for i, (base, *experts) in enumerate(many)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_every_tensor_comes_whole_and_in_order(dtype: torch.dtype, n: int) -> None:
    given = sources(dtype)[:n]
    streamed = StreamedSources("cpu", buffer_bytes(given))
    seen = []
    for tensors, number in streamed.over(zip(given, range(n), strict=True)):
        seen.append((tensors.name, number))
        wanted = given[number]
        assert torch.equal(tensors.base, wanted.base)
        assert all(torch.equal(*pair) for pair in zip(tensors.experts, wanted.experts, strict=True))
        assert tensors.base.data_ptr() != wanted.base.data_ptr()
    assert seen == [(str(i), i) for i in range(n)]


def test_what_is_kept_of_a_tensor_outlives_its_copy() -> None:
    given = sources(torch.float32)
    streamed = StreamedSources("cpu", buffer_bytes(given))
    for tensors, _ in streamed.over((t, None) for t in given):
        tensors.kept("name", partial(str, tensors.name))
    assert [tensors.kept("name", lambda: "made again") for tensors in given] == [t.name for t in given]


def test_tensors_come_alone_in_any_order() -> None:
    given = sources(torch.float32)
    streamed = StreamedSources("cpu", buffer_bytes(given))
    for wanted in [*reversed(given), *given]:
        found = streamed.one(wanted)
        assert found.name == wanted.name
        assert all(map(torch.equal, (found.base, *found.experts), (wanted.base, *wanted.experts)))
        assert found.base.data_ptr() != wanted.base.data_ptr()
