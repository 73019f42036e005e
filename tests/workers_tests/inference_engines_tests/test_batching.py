"""Batches of like length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.inference_engines.batching import length_sorted_batches

_LENGTHS = st.lists(st.integers(1, 60), max_size=40)


@given(lengths=_LENGTHS, max_tokens=st.integers(1, 200))
def test_every_item_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int], max_tokens: int) -> None:
    batches = list(length_sorted_batches(lengths, max_tokens))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= max_tokens


@given(lengths=_LENGTHS, max_tokens=st.integers(1, 200))
def test_the_longest_come_first(lengths: list[int], max_tokens: int) -> None:
    order = [lengths[index] for batch in length_sorted_batches(lengths, max_tokens) for index in batch]
    assert order == sorted(lengths, reverse=True)


def test_nothing_gives_no_batch() -> None:
    assert list(length_sorted_batches([], 10)) == []
