"""The verdict on what a run has found: its front on held-out examples, as 0 and 1, which no search saw.

An objective is a likelihood; the verdict is what the merge then does: whether it refuses, and whether it answers
exactly. Judged are at most so many points of each front, spread over it. What has been judged is kept beside the
trials, one line per point, and found again by its coefficients.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.method_fronts import VERDICTS
from benchmarks.search.cells import Cell, in_processes
from benchmarks.search.families import prepared, worker
from benchmarks.search.front_comparison import JudgedFront
from benchmarks.search.run_front import MAX_POINTS, front_of, spread
from benchmarks.search.trial_records import TrialRecord
from service.samplers import SAMPLERS
from workers.evaluation import Assignment

# Measure → each example's score.
PointScores = Mapping[str, Sequence[float]]
_REFUSAL, _ACCURACY = VERDICTS


def judge_missing(cells: Sequence[Cell], results: Path, n_processes: int, n_points: int = MAX_POINTS) -> Iterator[Cell]:
    """Judge the fronts of whole runs, as far as they are not."""
    left = [cell for cell in cells if cell.is_whole(results) and _unjudged(cell, results, n_points)]
    yield from in_processes(partial(judge_cell, n_points=n_points), left, results, n_processes)


def judge_cell(cell: Cell, results: Path, n_points: int = MAX_POINTS) -> Cell:
    """Score the points of a run's front that have no verdict yet."""
    search, judge, path = prepared(cell.family, cell.granularity), worker(cell.family), verdict_path(cell, results)
    left = _unjudged(cell, results, n_points)
    # Only whole lines, so that others can follow.
    path.write_text("".join(_whole_lines(path)), encoding="utf-8")
    for record in left:
        evaluation = judge.evaluate(Assignment(search.recipe(record.params), tuple(VERDICTS)))
        if not evaluation.succeeded:
            raise RuntimeError(f"What has been scored must score again, but {cell} fails: {evaluation.message}")
        append_verdict(path, record, {name: score.per_example for name, score in evaluation.scores.items()})
    return cell


def judged_front(cell: Cell, results: Path, n_points: int = MAX_POINTS) -> JudgedFront | None:
    """A run's front as it was judged; None where verdicts are missing."""
    points, known = _points(cell, results, n_points), read_verdicts(verdict_path(cell, results))
    scores = [known[_key(point.params)] for point in points if _key(point.params) in known]
    if not points or len(scores) < len(points):
        return None
    refusal, accuracy = (np.array([point[name] for point in scores]) for name in (_REFUSAL, _ACCURACY))
    return JudgedFront((refusal, accuracy))


def judged_fronts(
    cells: Sequence[Cell], results: Path, n_points: int = MAX_POINTS
) -> dict[tuple[str, str], dict[str, dict[int, JudgedFront]]]:
    """(family, granularity) → sampler → seed → front, of the whole runs that were judged.

    The one run of a sampler in which no chance has a part stands for all seeds.
    """
    found: dict[tuple[str, str], dict[str, dict[int, JudgedFront]]] = {}
    seeds = sorted({cell.seed for cell in cells})
    for cell in cells:
        front = judged_front(cell, results, n_points) if cell.is_whole(results) else None
        if front is not None:
            samplers = found.setdefault((cell.family.name, cell.granularity), {})
            stands_for = [cell.seed] if SAMPLERS[cell.sampler].is_random else seeds
            samplers.setdefault(cell.sampler, {}).update(dict.fromkeys(stands_for, front))
    return found


def verdict_path(cell: Cell, results: Path) -> Path:
    """Where a run's verdicts are kept."""
    return cell.path(results).with_suffix(".verdict.jsonl")


def append_verdict(path: Path, record: TrialRecord, scores: PointScores) -> None:
    """Add a line; it is on the disk when the next point is judged."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"params": dict(record.params), "scores": dict(scores)}) + "\n")


def read_verdicts(path: Path) -> dict[str, PointScores]:
    """All whole lines, by their points' coefficients."""
    rows = [json.loads(line) for line in _whole_lines(path)]
    return {_key(row["params"]): row["scores"] for row in rows}


def _whole_lines(path: Path) -> list[str]:
    """Without the last one where it was cut off with its process."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line[-1] == "\n"]


def _points(cell: Cell, results: Path, n_points: int) -> list[TrialRecord]:
    return spread(front_of(cell.records(results), cell.budget), n_points)


def _unjudged(cell: Cell, results: Path, n_points: int) -> list[TrialRecord]:
    known = read_verdicts(verdict_path(cell, results))
    return [point for point in _points(cell, results, n_points) if _key(point.params) not in known]


def _key(params: Mapping[str, float]) -> str:
    return json.dumps(params, sort_keys=True)
