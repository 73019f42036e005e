"""Shares tensors, or the blocks of one, among threads; what is written does not depend on how."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import torch

# Fewer elements are merged sooner than another thread is woken.
_SMALL = 1 << 18
# Pieces per thread: one that is held up by another process leaves the rest to the others.
_PIECES = 4


def for_blocks(loop: Callable[[tuple[int, int]], object], n: int, block: int) -> None:
    """Call a loop over the blocks of a tensor, whose last argument it never reaches.

    A thread that other processes keep from its core holds up nobody: see `for_each`. (numba's own threads, of OpenMP,
    wait for each other at a barrier: 24 ms a call on a busy machine, on tensors that take 0.02 ms.) They are as many as
    torch has.

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
    for_each(loop, [(first, min(n_blocks, first + size)) for first in range(0, n_blocks, size)], n_threads)


def for_each(work: Callable[[Any], object], items: Iterable[Any], n_threads: int) -> None:
    """Call `work` with each of some items; each thread, the caller's among them, takes the next until none is left.

    Raises:
        Exception: that of `work`; what others have begun is finished, and nothing else begun.
    """
    left = deque(items)
    threads = _threads(os.getpid(), n_threads - 1) if n_threads > 1 else None
    others = [threads.submit(_take, work, left) for _ in range(n_threads - 1)] if threads else []
    try:
        _take(work, left)
    finally:
        # What has not begun by now has nothing left to do.
        running = [other for other in others if not other.cancel()]
        wait(running)
    for other in running:
        other.result()


def _take(work: Callable[[Any], object], left: deque[Any]) -> None:
    while True:
        try:
            item = left.popleft()
        except IndexError:
            return
        try:
            work(item)
        except BaseException:
            left.clear()
            raise


@lru_cache(maxsize=1)
def _threads(_pid: int, n_threads: int) -> ThreadPoolExecutor:
    """Of this process: a fork has the object, but not its threads."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="merge")
