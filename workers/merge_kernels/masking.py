"""What an elementwise merge of masked task vectors is told, and how its random numbers are drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DropMask:
    """Which elements of one task vector DARE keeps.

    An element is kept where `hash(key, index) < density * 2**32`: the same on every device, in any
    order and in any block; and an element kept at one density is kept at every higher one, so that
    an objective is smooth in the density.

    Args:
        key: 32 bits, different for each seed, expert and tensor.
        density: the share that is kept, in (0, 1].
    """

    key: int
    density: float

    @property
    def limit(self) -> int:
        """Hashes below it are kept; 2**32 keeps all."""
        return round(self.density * 2**32)


@dataclass(frozen=True, slots=True)
class MaskedMerge:
    """The numbers of one tensor's merge; one entry per expert.

    Args:
        weights: of the masked task vectors.
        thresholds: magnitudes below it are trimmed (TIES); 0 keeps all.
        drops: random masks (DARE), whose survivors are rescaled by 1 / density.
        elect_sign: keep only the contributions that have the sign of the weighted sum.
        normalize: divide by the sum of the weights that contribute.
    """

    weights: tuple[float, ...]
    thresholds: tuple[float, ...]
    drops: tuple[DropMask, ...]
    elect_sign: bool
    normalize: bool


def drop_key(seed: int, expert: int, tensor_name: str) -> int:
    """The key of a random mask: 32 bits of a hash that no process or platform changes."""
    digest = hashlib.blake2b(f"{seed}/{expert}/{tensor_name}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
