"""The magnitudes of a task vector, ranked once: it depends on the checkpoints alone, and no candidate sorts anything.

Where magnitudes are equal, as among 16-bit checkpoints many are, the order is that of `torch.argsort`, which is
not stable: so that the elements kept are the very ones that mergekit keeps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from search_spaces.method_signature import Ranking
from workers.merge_methods._base import SourceTensors

_DTYPES = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def ranking_of(tensors: SourceTensors, expert: int, ranking: Ranking) -> Tensor:
    """The ranking of |expert - base|, of the tensor's shape; made at first use.

    Of `DESCENDING` and `ASCENDING`, the flat tensor's elements in that order; of `ROWS`, each element's rank in its
    row of the last dimension, 0 for the smallest. Integers as wide as they must be.
    """
    shape = tensors.base.shape
    width = ranking.element_bytes(tensors.base.numel(), shape[-1] if shape else 1)
    dtype = _DTYPES[width]
    return tensors.ranking(ranking.value, expert, dtype, lambda: _rank(tensors, expert, ranking).to(dtype))


def rank_all(tensors: Iterable[SourceTensors], ranking: Ranking) -> None:
    """Make rankings that are not there, several at a time: a sort keeps one thread busy."""
    # The largest first, so that no thread is left alone with one of them at the end.
    missing = sorted((t for t in tensors if not t.has_ranking(ranking.value)), key=lambda t: -t.base.numel())
    if not missing:
        return
    work = [(t, expert) for t in missing for expert in range(len(t.experts))]
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for _ in threads.map(lambda one: ranking_of(one[0], one[1], ranking), work):
            pass
    _give_back_memory()


def _give_back_memory() -> None:
    """glibc keeps what threads have freed: 1.5 GiB of a worker's memory, after two experts of 1.1 B elements."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _rank(tensors: SourceTensors, expert: int, ranking: Ranking) -> Tensor:
    magnitudes = (tensors.experts[expert].float() - tensors.base.float()).abs_()
    if ranking is not Ranking.ROWS:
        order = torch.argsort(magnitudes.reshape(-1), descending=ranking is Ranking.DESCENDING)
        return order.view(magnitudes.shape)
    if not magnitudes.shape:
        return torch.zeros((), dtype=torch.int32, device=magnitudes.device)
    order = torch.argsort(magnitudes, dim=-1)
    places = torch.arange(magnitudes.shape[-1], dtype=torch.int32, device=magnitudes.device).expand_as(order)
    return torch.empty(magnitudes.shape, dtype=torch.int32, device=magnitudes.device).scatter_(-1, order, places)
