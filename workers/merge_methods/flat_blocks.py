"""Tensors of one shape, a block of elements at a time: temporaries stay small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

# 64 Ki elements: 256 KiB of float32 per temporary, so that some of them stay in the L2 cache.
BLOCK = 1 << 16


def flat_blocks(sources: Sequence[Tensor], out: Tensor) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Flat views of `out` with the same elements of each source in float32, on its device.

    Args:
        sources: of `out`'s shape.
        out: contiguous.
    """
    target, flat = out.view(-1), [source.reshape(-1) for source in sources]
    for start in range(0, len(target), BLOCK):
        part = slice(start, start + BLOCK)
        yield target[part], tuple(source[part].to(out.device).float() for source in flat)
