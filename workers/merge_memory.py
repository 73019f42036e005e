"""Where what is merged lies between candidates: decided from headers alone, by a worker as by `plan`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from search_spaces import MethodSignature
from workers.checkpoints.header import CheckpointHeader

# A worker's memory for what is kept between candidates, where nobody says.
DEFAULT_CACHE_GIB = 4.0
_GIB = 2**30


class SourcePlace(StrEnum):
    """Where a worker has the checkpoints' tensors."""

    MAPPED = "mapped"  # files, whose pages all workers of a node share
    RESIDENT = "resident"  # copied once to the worker's device
    STREAMED = "streamed"  # copied to it for each candidate, tensor by tensor


class RankingPlace(StrEnum):
    """Where a worker has the method's rankings."""

    NONE = "none"  # the method sorts nothing
    MEMORY = "memory"  # with each worker, on its device where the sources are
    FILES = "files"  # mapped, whose pages all workers of a node share


@dataclass(frozen=True, slots=True)
class MergeDevice:
    """Where a worker merges, and what memory it has for what is kept between candidates.

    Args:
        name: torch's name of the device.
        cache_gib: the memory, on the device where sources are resident on it, else on the CPU.
        is_taken: an engine takes the device's memory for itself: nothing may be resident there.
    """

    name: str = "cpu"
    cache_gib: float = DEFAULT_CACHE_GIB
    is_taken: bool = False

    @property
    def cache_bytes(self) -> int:
        """The memory in bytes."""
        return int(self.cache_gib * _GIB)

    @property
    def maps_files(self) -> bool:
        """Whether it reads the checkpoints' pages where they are."""
        return self.name.startswith("cpu")


@dataclass(frozen=True, slots=True)
class MergeMemory:
    """What a worker keeps beside its candidate. Nothing of it changes what is merged.

    Args:
        source_bytes: of the tensors to merge, in all models.
        ranking_bytes: of the method's rankings, in all experts.
        sources: where the former lie.
        rankings: where the latter lie.
        cache_bytes: what a worker may have of its own.
    """

    source_bytes: int
    ranking_bytes: int
    sources: SourcePlace
    rankings: RankingPlace
    cache_bytes: int

    @classmethod
    def of(
        cls,
        headers: Mapping[str, CheckpointHeader],
        names: Iterable[str],
        signature: MethodSignature,
        device: MergeDevice,
    ) -> MergeMemory:
        """Share out a worker's memory: to the sources where its device is no CPU, then to the rankings.

        Args:
            headers: model name → header, base first.
            names: the tensors to merge.
            signature: the method's.
            device: where they are merged.
        """
        base, *experts = headers.values()
        merged = tuple(names)
        source_bytes = sum(header.tensors[name].size_bytes for header in headers.values() for name in merged)
        ranking_bytes = sum(_ranking_bytes(signature, base.tensors[name].shape) for name in merged) * len(experts)
        sources, left = SourcePlace.MAPPED, device.cache_bytes
        if not device.maps_files:
            fits = source_bytes <= device.cache_bytes and not device.is_taken
            sources = SourcePlace.RESIDENT if fits else SourcePlace.STREAMED
            left -= source_bytes if fits else 0
        rankings = RankingPlace.MEMORY if ranking_bytes <= left else RankingPlace.FILES
        return cls(
            source_bytes,
            ranking_bytes,
            sources,
            rankings if signature.ranking else RankingPlace.NONE,
            device.cache_bytes,
        )

    @property
    def worker_bytes(self) -> int:
        """What each worker has of its own."""
        resident = self.source_bytes if self.sources is SourcePlace.RESIDENT else 0
        return resident + (self.ranking_bytes if self.rankings is RankingPlace.MEMORY else 0)


def _ranking_bytes(signature: MethodSignature, shape: tuple[int, ...]) -> int:
    if signature.ranking is None:
        return 0
    n, row_length = 1, shape[-1] if shape else 1
    for length in shape:
        n *= length
    return n * signature.ranking.element_bytes(n, row_length)
