"""Batches of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def length_sorted_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Indices in batches whose padded size stays below a bound, longest first.

    Longest first, so that a batch too large for the memory fails at once and not at the end.

    Args:
        lengths: tokens of each item.
        max_tokens: items times the longest item of a batch; a longer item gets a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
