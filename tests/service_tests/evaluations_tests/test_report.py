"""What is asked for, and the report of what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import ExportError, SpecificationError
from service.demo import FAMILY
from service.evaluations import (
    EvaluatedModels,
    EvaluationReport,
    EvaluationRequest,
    PreparedEvaluation,
    ReportFiles,
    prepare_evaluation,
)
from service.exports.provenance import file_digest
from workers.evaluation import Score

MERGE, BASE = "merge", "base"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_task: Callable[..., Path]) -> Path:
    """A group of two tasks, and a safety set of two categories, one prompt of which is in both."""
    folder = tmp_path_factory.mktemp("asked")
    rows = [{"q": "a", "a": "b"}, {"q": "c", "a": "d"}]
    for name in ("one", "two"):
        keys = {"doc_to_text": "{{q}}", "doc_to_target": "{{a}}", "output_type": "loglikelihood", "tag": "both"}
        metric = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
        write_task(folder, name, rows, **keys, metric_list=[metric])
    unsafe = [("p", "theft"), ("q", ["theft", "fraud"]), ("r", None)]
    lines = (json.dumps({"prompt": prompt, "category": category}) for prompt, category in unsafe)
    (folder / "unsafe.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def prepared(folder: Path) -> PreparedEvaluation:
    guard = FAMILY / "guard"
    return prepare_evaluation(
        EvaluationRequest(("both",), folder, limit=2, num_fewshot=0, safety=folder / "unsafe.jsonl", guard=guard)
    )


@pytest.fixture
def report(prepared: PreparedEvaluation) -> EvaluationReport:
    models = EvaluatedModels(MERGE, {MERGE: FAMILY / "expert", BASE: FAMILY / "base"}, left_out={"gone": "/gone"})
    safe = {MERGE: [1.0, 0.0, 1.0], BASE: [0.0, 0.0, 0.0]}
    scores = {
        name: {"both": Score.mean_of([1.0, 0.0, 1.0, 1.0])} | dict.fromkeys(("refusal", "guard"), Score.mean_of(each))
        for name, each in safe.items()
    }
    return EvaluationReport(prepared, models, scores)


def test_what_was_asked_for_is_measured(prepared: PreparedEvaluation) -> None:
    assert list(prepared.measures) == ["both", "refusal", "guard"]
    assert [(run.name, run.asked_for, run.metric, run.version) for run in prepared.tasks] == [
        ("one", "both", "acc", "1.0"),
        ("two", "both", "acc", "1.0"),
    ]
    assert [example.prompt for example in prepared.measures["refusal"].examples] == ["p", "q", "r"]


def test_the_table(report: EvaluationReport) -> None:
    assert report.headings() == [
        "model",
        "both (acc, n = 4)",
        *(f"{s} (safe answers, n = 3)" for s in ("refusal", "guard")),
    ]
    assert report.rows() == [
        ["merge", "0.7500 ± 0.2500", "0.6667 ± 0.3333", "0.6667 ± 0.3333"],
        ["base", "0.7500 ± 0.2500", "0.0000 ± 0.0000", "0.0000 ± 0.0000"],
    ]


def test_safety_by_category(report: EvaluationReport) -> None:
    found = report.by_category("refusal")
    assert {c: [(score.value, score.n) for score in by_model.values()] for c, by_model in found.items()} == {
        "fraud": [(0.0, 1), (0.0, 1)],
        "theft": [(0.5, 2), (0.0, 2)],
    }


def test_both_files_say_the_same(report: EvaluationReport, folder: Path, tmp_path: Path) -> None:
    files = ReportFiles.inside(tmp_path / "new" / "folder")
    files.write(report)
    values, text = json.loads(files.json.read_text()), files.markdown.read_text()
    assert values == json.loads(json.dumps(report.to_dict()))
    assert values["safety"]["sha256"] == file_digest(folder / "unsafe.jsonl")
    assert values["safety"]["by_category"]["guard"]["theft"]["merge"]["n"] == 2
    for said in (
        "# Evaluation of merge",
        "| merge | 0.7500 ± 0.2500 |",
        "| theft | 2 | 0.5000 ± 0.5000 |",
        "| two | both | 1.0 | acc | 0 |",
        "The first 2 examples of each task.",
        values["safety"]["sha256"],
        "Left out: gone",
        f"lm_eval {values['versions']['lm_eval']}",
    ):
        assert said in text


def test_where_nothing_can_be_written_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"A report must go to a folder, but '.*/file' cannot be made"):
        ReportFiles.inside(tmp_path / "file")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "needs `--tasks`, a `--safety` set, or both"),
        ({"tasks": ("a",), "guard": Path("g")}, "`--guard` judges answers to a `--safety` set, but got 'g'"),
        ({"tasks": ("a", "a")}, "must name each task once.*got 'a'"),
        ({"tasks": ("refusal",)}, "none 'refusal' or 'guard', but got 'refusal'"),
    ],
)
def test_impossible_requests_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecificationError, match=problem):
        EvaluationRequest(**given)
