"""What an elementwise merge of masked task vectors is told, and how its random numbers are drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor


@dataclass(frozen=True, slots=True)
class RankBand:
    """Which elements of one task vector stay, by the place of their magnitude in an order.

    Args:
        order: int32 or int64, of the tensor's shape: the elements of the flat tensor by their magnitude, ascending or
            descending, those of equal magnitudes in any order; None where everything stays.
        first: the first place whose element stays.
        last: one past the last.
    """

    order: Tensor | None = None
    first: int = 0
    last: int = 0

    @property
    def is_open(self) -> bool:
        """Whether everything stays."""
        return self.order is None


@dataclass(frozen=True, slots=True)
class DropMask:
    """Which elements of one task vector DARE and DELLA keep.

    An element is kept where `hash(start + index * step) < probability * 2**32`: the same on every device, in any
    order and in any block; and an element kept at one density is kept at every higher one, so that
    an objective is smooth in the density.

    Args:
        key: 64 bits, different for each seed, expert and tensor.
        density: the share that is kept, in (0, 1].
        row_ranks: int16 or int32, of the tensor's shape: the rank of each magnitude in its row, from 0 for the
            smallest; None where every element has the same probability (DARE).
        epsilon: with ranks, probabilities run from `density - epsilon` to `density + epsilon` over a row (DELLA).
        row_length: elements of a row.
    """

    key: int
    density: float
    row_ranks: Tensor | None = None
    epsilon: float = 0.0
    row_length: int = 1

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is dropped."""
        return self.density >= 1

    @property
    def start(self) -> int:
        """What is hashed for the first element: 32 bits."""
        return self.key & 0xFFFFFFFF

    @property
    def step(self) -> int:
        """How far it is to the next one's: odd, so that all numbers of 32 bits come before one comes again.

        Another for each key: where two masks differed in their start only, a hash this short could show it.
        """
        return self.key >> 32 | 1

    @property
    def limit(self) -> int:
        """Hashes below it are kept, of the element that is least likely to be; 2**32 keeps all."""
        return round((self.density - (self.epsilon if self.row_ranks is not None else 0.0)) * 2**32)

    @property
    def limit_step(self) -> float:
        """By what the limit grows from one rank of a row to the next."""
        if self.row_ranks is None or self.row_length < 2:
            return 0.0
        return 2 * self.epsilon / (self.row_length - 1) * 2**32


@dataclass(frozen=True, slots=True)
class MaskedTaskVector:
    """The numbers of one expert in one tensor's merge; its masks are applied one after the other.

    Args:
        weight: of the masked task vector.
        band: magnitudes outside it are trimmed.
        drop: random mask.
        rescaling: of what is left, before it is weighed.
        kept: what the masks keep, as `masked_norms` has found it; None where that is still to be drawn.
    """

    weight: float
    band: RankBand = field(default_factory=RankBand)
    drop: DropMask = field(default_factory=lambda: DropMask(key=0, density=1.0))
    rescaling: float = 1.0
    kept: Any = field(default=None, compare=False, repr=False)

    @property
    def is_whole(self) -> bool:
        """Whether no element is masked."""
        return self.band.is_open and self.drop.keeps_all


class MaskedNorms(NamedTuple):
    """What `masked_norms` finds on its way through a task vector.

    Args:
        whole: the sum of its magnitudes.
        left: the same of what its masks leave.
        kept: for the merge, which then need not draw again: uint32, see `block_sizes`; None where it must.
    """

    whole: float
    left: float
    kept: Any = None


@dataclass(frozen=True, slots=True)
class MaskedMerge:
    """The numbers of one tensor's merge.

    Args:
        vectors: one entry per expert.
        elect_sign: keep only the contributions that have the sign of the weighted sum.
        normalize: divide by the sum of the weights that contribute.
        scale: of the merged task vector.
    """

    vectors: tuple[MaskedTaskVector, ...]
    elect_sign: bool = False
    normalize: bool = False
    scale: float = 1.0


def drop_key(seed: int, expert: int, tensor_name: str) -> int:
    """The key of a random mask: 64 bits of a hash that no process or platform changes."""
    digest = hashlib.blake2b(f"{seed}/{expert}/{tensor_name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
