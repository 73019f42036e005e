"""How far two tensors of one dtype lie apart, counted in units in the last place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_CARRIERS = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}

# What two merges of the same recipe may differ by: both round once, and may fall on either side of a midpoint.
MIN_SHARE_WITHIN_1 = 0.9999
MAX_ULPS = 2


def ulps_apart(first: Tensor, second: Tensor) -> Tensor:
    """The number of steps from each element to its counterpart, over the numbers that the dtype has.

    0 and -0 are one number, and so are all NaN; the largest finite number and infinity are neighbours.

    Args:
        first: float32, bfloat16 or float16.
        second: of the same dtype and shape.

    Returns:
        int64, of that shape; from a NaN to a number it is farther than between any two numbers.

    Raises:
        ValueError: dtypes or shapes differ.
    """
    if first.dtype != second.dtype or first.shape != second.shape:
        raise ValueError(
            f"Both tensors must have one dtype and shape, but got {first.dtype} {tuple(first.shape)} "
            f"and {second.dtype} {tuple(second.shape)}."
        )
    apart = (_position(first) - _position(second)).abs()
    nan = first.isnan(), second.isnan()
    apart[nan[0] & nan[1]] = 0
    apart[nan[0] ^ nan[1]] = 1 << 33
    return apart


def _position(values: Tensor) -> Tensor:
    """The number of each value when all values of the dtype are counted in order, zero having 0."""
    bits = values.contiguous().view(_CARRIERS[values.dtype])
    lowest = torch.iinfo(bits.dtype).min
    counted = bits.to(torch.int64)
    return torch.where(counted < 0, lowest - counted, counted)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two results agree.

    Args:
        n_elements: that were compared.
        n_within_1: at most one unit in the last place apart.
        max_ulps: the largest distance.
    """

    n_elements: int = 0
    n_within_1: int = 0
    max_ulps: int = 0

    @classmethod
    def between(cls, first: Tensor, second: Tensor) -> Agreement:
        """Of two tensors of one dtype and shape."""
        apart = ulps_apart(first, second)
        return cls(apart.numel(), int((apart <= 1).sum()), int(apart.max()) if apart.numel() else 0)

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.n_elements + other.n_elements,
            self.n_within_1 + other.n_within_1,
            max(self.max_ulps, other.max_ulps),
        )

    @property
    def share_within_1(self) -> float:
        """Of all elements, 1 of none."""
        return self.n_within_1 / self.n_elements if self.n_elements else 1.0

    @property
    def kept(self) -> bool:
        """Whether it is parity."""
        return self.share_within_1 >= MIN_SHARE_WITHIN_1 and self.max_ulps <= MAX_ULPS
