"""`paretomerge evaluate` on an exported merge and on a trial, with a local task and a safety set."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.demo import FAMILY
from workers.example_set import read_examples

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

N_ROWS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_task: Write) -> Path:
    """A task and a safety set."""
    folder = tmp_path_factory.mktemp("evaluated")
    examples = read_examples(FAMILY / "domain.jsonl")[:N_ROWS]
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    keys = {"doc_to_text": "{{q}}", "doc_to_target": "{{a}}", "output_type": "generate_until", "metric_list": [metric]}
    generation = {"max_gen_toks": 24, "until": ["\n"]}
    write_task(
        folder, "domain", [{"q": e.prompt, "a": e.answer} for e in examples], **keys, generation_kwargs=generation
    )
    unsafe = read_examples(FAMILY / "safety.jsonl")[:N_ROWS]
    rows = ({"question": e.prompt, "category": "even" if i % 2 == 0 else "odd"} for i, e in enumerate(unsafe))
    (folder / "unsafe.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, run_command: Run, write_specification: Write) -> str:
    specification = write_specification(tmp_path_factory.mktemp("finished"), search={"evaluations": 7})
    assert run_command("search", specification).returncode == 0
    return specification.stem


@pytest.fixture(scope="module")
def merge(tmp_path_factory: pytest.TempPathFactory, run_command: Run, study: str) -> Path:
    """An exported one."""
    folder = tmp_path_factory.mktemp("exports") / "merge"
    done = run_command("export", study, "--to", folder)
    assert done.returncode == 0, done.stderr
    return folder


def asked(folder: Path) -> tuple[str | Path, ...]:
    tasks = ("--tasks", "domain", "--include-path", folder, "--apply-chat-template")
    return (*tasks, "--safety", folder / "unsafe.jsonl")


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_an_export_is_evaluated_beside_its_models(run_command: Run, merge: Path, folder: Path) -> None:
    done = run_command("evaluate", merge, *asked(folder), "--guard", FAMILY / "guard")
    assert done.returncode == 0, done.stderr
    values = json.loads((merge / "evaluation.json").read_text())
    assert list(values["models"]) == ["merge", "base", "aligned", "expert"]
    scores: dict[str, Any] = values["scores"]
    assert scores["expert"]["domain"]["value"] > 0.8 > scores["base"]["domain"]["value"]
    for measure in ("refusal", "guard"):
        assert scores["aligned"][measure] == {"value": 1.0, "standard_error": 0.0, "n": N_ROWS}
        assert scores["expert"][measure]["value"] == 0.0
        assert values["safety"]["by_category"][measure]["odd"]["aligned"]["n"] == N_ROWS // 2
    for name in values["models"]:
        assert f"{name} " in done.stdout
        assert f"| {name} | {scores[name]['domain']['value']:.4f} ± " in (merge / "evaluation.md").read_text()
    assert "domain (exact_match, n = 24)" in done.stdout


def test_a_trial_scores_as_its_export(run_command: Run, study: str, merge: Path, folder: Path, tmp_path: Path) -> None:
    trial = json.loads((merge / "provenance.json").read_text())["trial"]
    done = run_command(
        "evaluate",
        study,
        "--trial",
        str(trial),
        *asked(folder),
        "--against",
        f"again={merge}",
        "--to",
        tmp_path,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "report.json").read_text())
    assert (tmp_path / "report.md").read_text().startswith(f"# Evaluation of {study} (")
    assert list(values["models"])[1:] == ["base", "aligned", "expert", "again"]
    assert values["scores"][values["evaluated"]] == values["scores"]["again"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ((), "needs `--tasks`, a `--safety` set, or both"),
        (("--tasks", "domian"), "'domian' is none. Did you mean domain"),
        (("--safety", "nowhere.jsonl"), "'nowhere.jsonl' is not"),
        (("--tasks", "domain", "--against", "base"), "`--against` must be NAME=FOLDER"),
        (("--tasks", "domain", "--trial", "1"), "`--ray-address` are of a search"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_mistakes(run_command: Run, merge: Path, folder: Path, options: tuple[str, ...], hint: str) -> None:
    assert hint in told(run_command("evaluate", merge, "--include-path", folder, *options))


def test_a_folder_that_says_nothing_of_its_models(run_command: Run, folder: Path) -> None:
    message = told(run_command("evaluate", FAMILY / "expert", *asked(folder)))
    assert "provenance.json' names no models or is not there. Name them with `--against base=FOLDER`" in message


def test_what_is_neither_folder_nor_search(run_command: Run, folder: Path, study: str) -> None:
    assert "An export must be a folder, but 'no/where' is none" in told(
        run_command("evaluate", "no/where", *asked(folder))
    )
    assert "there is none named 'nowhere'" in told(run_command("evaluate", "nowhere", *asked(folder)))


def test_without_lm_eval_it_says_how_to_get_it(run_command: Run, merge: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lm_eval.py").write_text("raise ImportError('no such package')")
    message = told(run_command("evaluate", merge, *asked(folder), PYTHONPATH=str(tmp_path)))
    assert "pip install 'paretomerge[lm-eval]'" in message
