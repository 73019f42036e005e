"""Shares the blocks of a tensor among threads; what a loop writes does not depend on how."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

# Fewer elements are merged sooner than another thread is woken.
_SMALL = 1 << 18
# Pieces per thread: one that is held up by another process leaves the rest to the others.
_PIECES = 4


def for_blocks(loop: Callable[[tuple[int, int]], object], n: int, block: int) -> None:
    """Call a loop over the blocks of a tensor, whose last argument it never reaches.

    Threads sleep while they wait. (numba's own, of OpenMP, wait at a barrier that costs 24 ms a call where other
    processes want the cores, on tensors that take 0.02 ms.) They are as many as torch has.

    Args:
        loop: takes the first block and one past the last, as a pair; releases the interpreter's lock.
        n: elements.
        block: elements of a block.
    """
    n_blocks = -(-n // block)
    n_threads = torch.get_num_threads()
    if n_threads < 2 or n < _SMALL:
        loop((0, n_blocks))
        return
    size = -(-n_blocks // (n_threads * _PIECES))
    pieces = [(first, min(n_blocks, first + size)) for first in range(0, n_blocks, size)]
    # `map` gives the results in order: an error is raised here. This thread waits, for it holds no core meanwhile.
    for _ in _threads(os.getpid(), n_threads).map(loop, pieces):
        pass


@lru_cache(maxsize=1)
def _threads(_pid: int, n_threads: int) -> ThreadPoolExecutor:
    """Of this process: a fork has the object, but not its threads."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="merge")
