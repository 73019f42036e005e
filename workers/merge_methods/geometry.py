"""Lengths and angle of two tensors seen as vectors: what spherical interpolation needs of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

# Elements per step, so that the float64 copies stay small.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class PairGeometry:
    """Of two vectors: their lengths and the cosine between them (1 where one of them is zero)."""

    first_length: float
    second_length: float
    cosine: float

    @classmethod
    def measure(cls, first: Tensor, second: Tensor) -> PairGeometry:
        """Sums in float64, over two tensors of one shape."""
        dot = first_square = second_square = 0.0
        a_flat, b_flat = first.reshape(-1), second.reshape(-1)
        for start in range(0, a_flat.numel(), _BLOCK):
            a, b = a_flat[start : start + _BLOCK].double(), b_flat[start : start + _BLOCK].double()
            dot += float(a @ b)
            first_square += float(a @ a)
            second_square += float(b @ b)
        lengths = math.sqrt(first_square), math.sqrt(second_square)
        cosine = dot / (lengths[0] * lengths[1]) if all(lengths) else 1.0
        return cls(*lengths, cosine=max(-1.0, min(1.0, cosine)))
