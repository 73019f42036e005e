"""How a budget of groups is spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.coefficient_descents import chunk_counts

SHARES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1e-3, 1.0), min_size=1)


@given(shares=SHARES, budget=st.floats(0.1, 40), kappa=st.floats(0, 3))
def test_no_more_is_spent_than_there_is_and_more_on_the_important(
    shares: dict[str, float], budget: float, kappa: float
) -> None:
    counts = chunk_counts(shares, budget, kappa)
    assert counts.keys() == shares.keys()
    assert budget * (1 + 1e-9) >= sum(counts.values()) > budget - len(shares) - 1e-6
    ordered = sorted(shares, key=shares.__getitem__)
    assert [counts[group] for group in ordered] == sorted(counts.values())


def test_without_an_exponent_all_get_the_same() -> None:
    assert chunk_counts({"a": 0.9, "b": 0.1}, budget=6.0, kappa=0.0) == {"a": 3, "b": 3}
    assert chunk_counts({"a": 0.9, "b": 0.1}, budget=10.0) == pytest.approx({"a": 9, "b": 1})
