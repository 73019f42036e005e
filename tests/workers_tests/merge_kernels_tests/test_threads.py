"""The fused loops' threads: torch's number of them, and torch keeps its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from workers.merge_kernels.block_threads import for_blocks, for_each

_FIRST_MERGE = """
import torch
from workers.merge_kernels import mix
torch.set_num_threads(1)
mix([torch.ones(5000), torch.ones(5000)], (0.5, 0.5), torch.empty(5000))
print(torch.get_num_threads())
"""


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_first_merge_leaves_torch_the_threads_it_was_given() -> None:
    done = subprocess.run([sys.executable, "-c", _FIRST_MERGE], check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("n", [1, 2048, 300_000, 1_000_001])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_every_block_is_visited_once(n: int, n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    visited: list[int] = []
    for_blocks(lambda blocks: visited.extend(range(*blocks)), n, 2048)
    assert sorted(visited) == list(range(-(-n // 2048)))


@pytest.mark.usefixtures("_threads")
def test_an_error_in_a_thread_is_raised_here() -> None:
    def fail(_blocks: tuple[int, int]) -> None:
        raise ZeroDivisionError("in a thread")

    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError, match="in a thread"):
        for_blocks(fail, 1_000_000, 2048)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_item_is_worked_on_once(n_threads: int) -> None:
    done: list[int] = []
    for_each(done.append, range(100), n_threads)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_nothing_is_begun_after_an_error(n_threads: int) -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_each(fail, range(100), n_threads)
    assert len(begun) <= n_threads
