"""The paired test: relations, and a known distribution."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import SelectionError
from service.search.paired_comparison import compare_paired

SCORES = st.lists(st.floats(-5, 5, allow_nan=False), min_size=2, max_size=20)


def test_equal_merges_do_not_differ() -> None:
    comparison = compare_paired([0.1, 0.9, 0.5], [0.1, 0.9, 0.5])
    assert (comparison.difference, comparison.p_value, comparison.largest) == (0.0, 1.0, ())


@settings(max_examples=20, deadline=None)
@given(SCORES, st.randoms(use_true_random=False))
def test_exchange_turns_the_sign(first: list[float], random: Random) -> None:
    second = [random.uniform(-5, 5) for _ in first]
    one, other = compare_paired(first, second), compare_paired(second, first)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p_value == pytest.approx(other.p_value, abs=0.02)
    assert one.largest == other.largest


def test_six_of_six_is_one_in_thirty_two() -> None:
    # All 64 sign flips are tried; two of them are as extreme as six equal differences.
    comparison = compare_paired([1.0] * 6, [0.0] * 6)
    assert comparison.p_value == pytest.approx(2 / 64)


def test_a_clear_difference_is_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(3)
    noise, shared = rng.normal(0, 0.1, 80), rng.normal(0, 3, 80)
    clear = compare_paired(list(shared + 0.1 + noise), list(shared))
    chance = compare_paired(list(shared + noise - noise.mean() + 0.001), list(shared))
    assert clear.p_value < 0.001
    assert chance.p_value > 0.5
    assert clear.standard_error == pytest.approx(noise.std(ddof=1) / np.sqrt(80))


def test_the_largest_differences_come_first() -> None:
    comparison = compare_paired([0.0, 5.0, 1.0, 0.0], [0.0, 0.0, 0.0, 9.0], n_largest=2)
    assert comparison.largest == (3, 1)
    assert comparison.differences == (0.0, 5.0, 1.0, -9.0)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0])])
def test_other_examples_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(SelectionError, match="compared on the same examples"):
        compare_paired(first, second)
