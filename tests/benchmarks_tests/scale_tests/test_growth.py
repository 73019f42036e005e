"""Laws that costs were made by are found again."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scale.growth import by_parts, growth


def test_costs_by_parts() -> None:
    marks = [100.0, *np.cumsum([1.0] * 5 + [3.0] * 5) + 100.0]
    assert by_parts(marks, n_parts=2) == [1.0, 3.0]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_power_is_found(exponent: float) -> None:
    thousands = np.arange(10) + 0.5
    assert growth(list(5 * thousands**exponent), 1000).exponent == pytest.approx(exponent)


def test_a_line_is_found() -> None:
    law = growth([3.0 + 0.25 * thousand for thousand in np.arange(10) + 0.5], 1000)
    assert (law.start_ms, law.slope_ms) == pytest.approx((3.0, 0.25))
