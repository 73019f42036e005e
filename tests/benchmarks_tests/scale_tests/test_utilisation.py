"""The workers' share of time, on schedules that can be told by hand."""

from __future__ import annotations

import pytest

from benchmarks.scale.simulated_pool import Shift
from benchmarks.scale.utilisation import utilisation


def test_two_workers_without_a_pause() -> None:
    used = utilisation([Shift(0.0, 2.0), Shift(0.0, 1.0), Shift(1.0, 1.0), Shift(2.0, 2.0)], 2)
    assert (used.filled, used.whole, used.ideal) == (1.0, 0.75, 0.75)


def test_what_a_slow_driver_costs() -> None:
    used = utilisation([Shift(0.0, 1.0), Shift(2.0, 1.0), Shift(4.0, 1.0)], 1)
    assert (used.filled, used.whole, used.ideal) == (0.5, 0.6, 1.0)


def test_evaluations_that_take_no_time() -> None:
    assert utilisation([Shift(0.0, 0.0), Shift(1.0, 0.0)], 1).filled == pytest.approx(0.0)
