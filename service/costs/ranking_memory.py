"""What sorting needs while a worker makes its first candidate: it is the most that some workers ever have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from search_spaces.method_signature import Ranking

# Measured, bytes for each element of a tensor that is sorted: magnitudes, what torch sorts along with them, the order.
_SORTING_BYTES = {Ranking.DESCENDING: 24, Ranking.ASCENDING: 24, Ranking.ROWS: 18}


@dataclass(frozen=True, slots=True)
class RankingMemory:
    """The sorts of a method, as `rank_all` does them: the largest tensors first, one in each thread.

    Args:
        ranking: of the method.
        shapes: of the tensors.
        n_experts: each has a ranking of every tensor.
        n_threads: of the worker.
        is_kept: in memory, and not in files.
    """

    ranking: Ranking
    shapes: tuple[tuple[int, ...], ...]
    n_experts: int
    n_threads: int
    is_kept: bool

    @property
    def peak_bytes(self) -> int:
        """The most that sorts under way and rankings that are made have together."""
        kept, most = 0, 0
        jobs = [shape for shape in sorted(self.shapes, key=prod, reverse=True) for _ in range(self.n_experts)]
        for turn in range(len(jobs)):
            most = max(most, kept + sum(self._sorting(jobs[turn : turn + self.n_threads])))
            kept += self._kept_bytes(jobs[turn])
        return most

    def _sorting(self, shapes: Iterable[tuple[int, ...]]) -> Iterable[int]:
        return (_SORTING_BYTES[self.ranking] * prod(shape) for shape in shapes)

    def _kept_bytes(self, shape: tuple[int, ...]) -> int:
        width = self.ranking.element_bytes(prod(shape), shape[-1] if shape else 1)
        return width * prod(shape) if self.is_kept else 0
