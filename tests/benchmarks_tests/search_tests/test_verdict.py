"""Verdicts: of the points of a front only, each judged once, and on examples that no search saw."""

from __future__ import annotations

from pathlib import Path

from benchmarks.search.cells import Cell
from benchmarks.search.families import BUNDLED, Family, prepared
from benchmarks.search.report import held_out
from benchmarks.search.trial_records import TrialRecord, rewrite_records
from benchmarks.search.verdict import (
    append_verdict,
    judge_cell,
    judge_missing,
    judged_front,
    judged_fronts,
    read_verdicts,
    verdict_path,
)

FAMILY = Family("tiny", BUNDLED, BUNDLED)
LANDMARKS = list(prepared(FAMILY, "model").encoded_landmarks.values())
# What the search says of three landmarks: the third is dominated.
VALUES = [(0.0, 1.0), (1.0, 0.0), (-1.0, -1.0)]


def searched(results: Path, sampler: str = "tpe", seed: int = 0) -> Cell:
    cell = Cell(FAMILY, "model", sampler, seed, budget=3)
    records = [
        TrialRecord(params, values, 1.0, float(spent), 0.1, 0.2)
        for spent, (params, values) in enumerate(zip(LANDMARKS, VALUES, strict=False), start=1)
    ]
    rewrite_records(cell.path(results), records)
    return cell


def fabricate(cell: Cell, results: Path, ones: int) -> None:
    """A verdict without a model: so many ones of four."""
    scores = [1.0] * ones + [0.0] * (4 - ones)
    for record in cell.records(results):
        append_verdict(verdict_path(cell, results), record, {"refusal": scores, "accuracy": scores})


def test_the_front_is_judged_by_what_its_merges_do(tmp_path: Path) -> None:
    cell = searched(tmp_path)
    assert judged_front(cell, tmp_path) is None
    front = judged_front(judge_cell(cell, tmp_path), tmp_path)
    assert front is not None
    assert front.n_points == 2
    assert front.n_examples == tuple(len(measure.examples) for measure in FAMILY.held_out().values())
    assert {score for matrix in front.scores for score in matrix.ravel().tolist()} <= {0.0, 1.0}


def test_a_judged_point_is_not_judged_again(tmp_path: Path) -> None:
    cell = searched(tmp_path)
    fabricate(cell, tmp_path, ones=2)
    before = verdict_path(cell, tmp_path).read_text(encoding="utf-8")
    assert not list(judge_missing([cell], tmp_path, n_processes=1))
    judge_cell(cell, tmp_path)
    assert verdict_path(cell, tmp_path).read_text(encoding="utf-8") == before


def test_a_line_that_was_cut_off_is_judged_again(tmp_path: Path) -> None:
    cell = searched(tmp_path)
    fabricate(cell, tmp_path, ones=2)
    path = verdict_path(cell, tmp_path)
    first, second, _ = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(first + second[:-9], encoding="utf-8")
    assert len(read_verdicts(path)) == 1
    assert judged_front(cell, tmp_path) is None
    judge_cell(cell, tmp_path)
    assert len(read_verdicts(path)) == 2


def test_an_unfinished_run_has_no_verdict(tmp_path: Path) -> None:
    cell = searched(tmp_path)
    fabricate(cell, tmp_path, ones=2)
    longer = Cell(FAMILY, "model", "tpe", 0, budget=9)
    assert not judged_fronts([longer], tmp_path)
    assert not list(judge_missing([longer], tmp_path, n_processes=1))


def test_the_run_of_a_sampler_without_chance_stands_for_all_seeds(tmp_path: Path) -> None:
    cells = [searched(tmp_path, "tpe", 0), searched(tmp_path, "tpe", 1), searched(tmp_path, "grid")]
    for cell in cells:
        fabricate(cell, tmp_path, ones=2)
    samplers = judged_fronts(cells, tmp_path)["tiny", "model"]
    assert samplers["grid"].keys() == samplers["tpe"].keys() == {0, 1}


def test_the_table_says_who_is_ahead(tmp_path: Path) -> None:
    cells = [searched(tmp_path, sampler) for sampler in ("gradient", "tpe", "nsga2")]
    for cell, ones in zip(cells, (4, 2, 4), strict=True):
        fabricate(cell, tmp_path, ones)
    rows = [line.split("|")[1:-1] for line in held_out(judged_fronts(cells, tmp_path)["tiny", "model"]) if "|" in line]
    assert len({len(row) for row in rows}) == 1
    gradient, tpe, nsga2 = ([cell.strip() for cell in row[2:]] for row in rows[2:])
    assert gradient == ["1.000", "", "", ""]
    assert tpe[:2] == ["0.250", "+0.750"]
    assert nsga2 == ["1.000", "+0.000", "+0.000 to +0.000", "1.0000"]


def test_without_gradients_nothing_is_compared(tmp_path: Path) -> None:
    cell = searched(tmp_path)
    fabricate(cell, tmp_path, ones=2)
    *_, row = held_out(judged_fronts([cell], tmp_path)["tiny", "model"])
    assert row.split("|")[4:-1] == ["  "] * 3


def test_fewer_examples_are_judged_on_the_same_holdout(tmp_path: Path) -> None:
    fewer = FAMILY.with_fewer(5, tmp_path)
    assert fewer.held_out() == FAMILY.held_out()
    assert {example.split for measure in fewer.held_out().values() for example in measure.examples} == {"holdout"}
