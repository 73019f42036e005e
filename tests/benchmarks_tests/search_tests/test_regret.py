"""Regret is of what all runs have found: never negative, never growing, and nothing where one run has it all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.search.regret import compare
from benchmarks.search.report import ratios, table
from benchmarks.search.trial_records import TrialRecord

LANDMARKS = [(0.0, 1.0), (1.0, 0.0)]


def run(values: Sequence[tuple[float, ...]], cost: float = 1.0) -> list[TrialRecord]:
    given: list[tuple[float, ...]] = [*LANDMARKS, *values]
    return [
        TrialRecord({"x": 0.0}, point, cost, cost * number, 0.1, 0.2, {"landmark": "a"} if number < 3 else {})
        for number, point in enumerate(given, start=1)
    ]


def random_run(seed: int, n_trials: int = 20) -> list[TrialRecord]:
    return run([(x, y) for x, y in np.random.default_rng(seed).random((n_trials, 2)).tolist()])


def test_the_only_run_ends_without_regret() -> None:
    assert compare({"tpe": [random_run(0)]}).regrets("tpe", [22])[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_regret_falls_and_is_never_negative() -> None:
    comparison = compare({"tpe": [random_run(0), random_run(1)], "nsga2": [random_run(2)]})
    for name, runs in comparison.runs.items():
        regrets = comparison.regrets(name, range(1, 23))
        assert regrets.shape == (len(runs), 22)
        assert regrets.min() >= -1e-12
        assert all(later <= before for row in regrets for before, later in pairwise(row))


def test_the_reference_lies_below_the_landmarks() -> None:
    comparison = compare({"tpe": [run([])]})
    assert comparison.reference == pytest.approx((-0.1, -0.1))
    assert comparison.union == pytest.approx(2 * 1.1 * 0.1 - 0.1 * 0.1)


def test_what_costs_more_is_seen_later() -> None:
    cheap, dear = random_run(0), run([record.values for record in random_run(0)[2:] if record.values], cost=3.0)
    comparison = compare({"tpe": [cheap], "gradient": [dear]})
    assert comparison.median_regret("gradient", 60) == comparison.median_regret("tpe", 20)
    assert comparison.median_regret("gradient", 20) > comparison.median_regret("tpe", 20)


def test_what_a_cost_buys_includes_the_trial_that_ends_there() -> None:
    comparison = compare({"tpe": [run([(0.9, 0.9)])]})
    assert comparison.median_regret("tpe", 2.99) > comparison.median_regret("tpe", 3)
    assert comparison.median_regret("tpe", 3) == pytest.approx(0.0, abs=1e-12)


def test_runs_without_values_cannot_be_compared() -> None:
    failed = TrialRecord({"x": 0.0}, None, 1.0, 1.0, 0.1, 0.2)
    with pytest.raises(ValueError, match="none has: run the cells first"):
        compare({"tpe": [[failed]]})


def test_the_ratio_is_against_the_best_peer() -> None:
    better, worse, ours = run([(0.6, 0.6)] * 2), run([(0.5, 0.5)] * 2), run([(0.3, 0.3), (0.7, 0.7)])
    comparison = compare({"tpe": [better], "nsga2": [worse], "gradient": [ours], "grid": [run([(1.0, 1.0)])]})
    (line,) = ratios(("tiny", "layer"), comparison, budget=4)
    times = comparison.median_regret("tpe", 4) / comparison.median_regret("gradient", 4)
    assert "`tpe`, the best of nsga2, tpe at 4" in line
    assert f"{times:.2f} times at 4 " in line
    assert times > 1


def test_no_ratio_without_gradients() -> None:
    assert not list(ratios(("tiny", "layer"), compare({"tpe": [random_run(0)]}), budget=22))


def test_the_table_has_a_column_for_every_head() -> None:
    rows = [
        line for line in table(compare({"tpe": [random_run(0)], "map": [random_run(1)]}), [10, 22]) if line[0] == "|"
    ]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert not math.isnan(float(rows[2].split("|")[3].split()[0]))
