"""Scores and their standard errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.evaluation import Evaluation, FailureReason, Score

_SCORES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40)


@given(_SCORES)
def test_the_standard_error_is_the_sample_deviation_over_the_root_of_n(values: list[float]) -> None:
    score = Score.mean_of(values)
    assert score.value == pytest.approx(np.mean(values), abs=1e-9)
    assert score.standard_error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)


@given(_SCORES)
def test_a_set_twice_over_has_the_same_mean_and_a_smaller_error(values: list[float]) -> None:
    once, twice = Score.mean_of(values), Score.mean_of(values * 2)
    assert once.standard_error is not None
    assert twice.standard_error is not None
    assert twice.value == pytest.approx(once.value, abs=1e-9)
    assert twice.standard_error <= once.standard_error


def test_a_single_example_has_no_standard_error() -> None:
    assert Score.mean_of([0.5]) == Score(0.5, None, 1, (0.5,))


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_shows_in_the_mean_and_has_no_error(odd: float) -> None:
    score = Score.mean_of([1.0, odd])
    assert not math.isfinite(score.value)
    assert score.standard_error is None


def test_an_evaluation_succeeded_unless_it_says_why_not() -> None:
    assert Evaluation().succeeded
    assert not Evaluation(failure=FailureReason.TIMEOUT).succeeded
