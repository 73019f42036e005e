"""Regret is of what all runs have found: never negative, never growing, and nothing where one run has it all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.search.ratios import ratio_line, ratios
from benchmarks.search.regret import Comparison, Run, compare
from benchmarks.search.report import table
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
    assert compare({"tpe": [random_run(0)]}, 22).regrets("tpe", [22])[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_regret_falls_and_is_never_negative() -> None:
    comparison = compare({"tpe": [random_run(0), random_run(1)], "nsga2": [random_run(2)]}, 22)
    for name, runs in comparison.runs.items():
        regrets = comparison.regrets(name, range(1, 23))
        assert regrets.shape == (len(runs), 22)
        assert regrets.min() >= -1e-12
        assert all(later <= before for row in regrets for before, later in pairwise(row))


def test_the_reference_lies_below_the_landmarks() -> None:
    comparison = compare({"tpe": [run([])]}, 2)
    assert comparison.reference == pytest.approx((-0.1, -0.1))
    assert comparison.union == pytest.approx(2 * 1.1 * 0.1 - 0.1 * 0.1)


def test_what_costs_more_is_seen_later() -> None:
    cheap, dear = random_run(0), run([record.values for record in random_run(0)[2:] if record.values], cost=3.0)
    comparison = compare({"tpe": [cheap], "gradient": [dear]}, 66)
    assert comparison.median_regret("gradient", 60) == comparison.median_regret("tpe", 20)
    assert comparison.median_regret("gradient", 20) > comparison.median_regret("tpe", 20)


def test_what_a_cost_buys_includes_the_trial_that_ends_there() -> None:
    comparison = compare({"tpe": [run([(0.9, 0.9)])]}, 3)
    assert comparison.median_regret("tpe", 2.99) > comparison.median_regret("tpe", 3)
    assert comparison.median_regret("tpe", 3) == pytest.approx(0.0, abs=1e-12)


def test_runs_without_values_cannot_be_compared() -> None:
    failed = TrialRecord({"x": 0.0}, None, 1.0, 1.0, 0.1, 0.2)
    with pytest.raises(ValueError, match="none has: run the cells first"):
        compare({"tpe": [[failed]]}, 1)


def three_runs() -> Comparison:
    better, worse, ours = run([(0.6, 0.6)] * 2), run([(0.5, 0.5)] * 2), run([(0.3, 0.3), (0.7, 0.7)])
    runs: dict[str, Sequence[Run]] = {
        "tpe": [better],
        "nsga2": [worse],
        "gradient": [ours],
        "grid": [run([(1.0, 1.0)])],
    }
    return compare(runs, budget=4)


def test_the_ratio_is_against_the_best_peer() -> None:
    comparison = three_runs()
    (found,) = ratios(("tiny", "layer"), comparison)
    times = comparison.median_regret("tpe", 4) / comparison.median_regret("gradient", 4)
    assert found.startswith("tiny per layer ")
    assert f"{times:.2f} at 4 against `tpe` at 4" in found
    assert times > 1


def test_per_tensor_of_the_hard_family_the_subject_has_spent_less() -> None:
    (found,), (other,) = (ratios(key, three_runs()) for key in (("hard", "tensor"), ("hard", "layer")))
    assert " at 0.5, " in found
    assert " at 1, " in other


def test_all_ratios_are_one_line() -> None:
    keys = [("tiny", "layer"), ("real", "layer")]
    line = ratio_line(dict.fromkeys(keys, three_runs()))
    assert "\n" not in line
    assert all(next(ratios(key, three_runs())) in line for key in keys)


def test_no_ratio_without_gradients() -> None:
    assert ratio_line({("tiny", "layer"): compare({"tpe": [random_run(0)]}, 22)}) == ""


def test_the_table_has_a_column_for_every_head() -> None:
    rows = [
        line
        for line in table(compare({"tpe": [random_run(0)], "map": [random_run(1)]}, 22), [10, 22])
        if line[0] == "|"
    ]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert not math.isnan(float(rows[2].split("|")[3].split()[0]))
