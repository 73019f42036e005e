"""Which searches there are, and that those of one family were scored on the same examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.search.cells import Plan
from benchmarks.search.families import BUNDLED, Family
from workers.example_set import read_examples

FAMILY = Family("tiny", BUNDLED, BUNDLED)


def test_a_sampler_without_chance_is_run_once() -> None:
    cells = Plan(FAMILY, ("layer", "module"), n_seeds=3, budget=50).cells(("tpe", "grid"))
    assert [str(cell) for cell in cells if cell.sampler == "grid"] == ["tiny layer grid 0", "tiny module grid 0"]
    assert len(cells) == 2 * (3 + 1)
    assert {cell.budget for cell in cells} == {50}


def test_fewer_examples_are_as_many_as_were_asked_for(tmp_path: Path) -> None:
    fewer = FAMILY.with_fewer(5, tmp_path)
    assert [len(read_examples(fewer.sets / name)) for name in ("safety.jsonl", "domain.jsonl")] == [5, 5]


def test_results_are_of_one_number_of_examples(tmp_path: Path) -> None:
    assert FAMILY.with_fewer(5, tmp_path) == FAMILY.with_fewer(5, tmp_path)
    with pytest.raises(ValueError, match="has tiny-5-sets and 6 are wanted"):
        FAMILY.with_fewer(6, tmp_path)
