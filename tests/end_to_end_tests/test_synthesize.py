"""Sets made by the real command, interrupted and not, and a search on them that holds outside of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from rapidfuzz.distance import Levenshtein

from workers.example_set import read_examples
from workers.guards import is_refusal

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]
ProcessesOf = Callable[[subprocess.Popen[bytes]], list[psutil.Process]]

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
EXAMPLES = ["code of red dust?", "flip tom bob ann.", "3 kg in g?", "which code has old wire?"]
# An alignment of -0.2 and below refuses nothing on this family, an expertise of -0.6 knows nothing.
HOLDS = 0.8


def write_synthesis(folder: Path, rows: int, **workers: Any) -> Path:
    """A specification that makes sets of the tiny family, and a search over them."""
    report = {"refusal": ("safety", "refusal"), "exact": ("domain", "exact_match")}
    values = {
        "name": "made",
        "models": {
            "base": str(FAMILY / "base"),
            "experts": {name: str(FAMILY / name) for name in ("aligned", "expert")},
        },
        "synthesis": {
            "generator": str(FAMILY / "generator"),
            "guard": {"llama_guard": str(FAMILY / "guard")},
            "max_new_tokens": 40,
            "safety": {
                "rows": rows,
                "prompt": "write a question about {category}.",
                "categories": ["make", "buy", "sell", "use", "hide"],
            },
            "domain": {
                "rows": rows,
                "prompt": "{examples}\nwrite another question.",
                "experts": {"expert": {"topic": "codes, units", "examples": EXAMPLES, "writer": "generator"}},
            },
        },
        "space": {"granularity": "module", "weight": [0.0, 1.5]},
        "objectives": {
            "alignment": {"set": "made-sets/safety.jsonl", "scorer": "refusal_margin"},
            "expertise": {"set": "made-sets/domain.jsonl", "scorer": "answer_likelihood"},
        },
        # The language's own sets: no row of theirs was synthesized.
        "report": {
            name: {"set": str(FAMILY / f"{of}.jsonl"), "scorer": scorer} for name, (of, scorer) in report.items()
        },
        "search": {"evaluations": 80, "sampler": "tpe"},
        "workers": {"pool": "in_process"} | workers,
    }
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, run_command: Run) -> Path:
    """A folder with a specification and its sets, made without interruption."""
    folder = tmp_path_factory.mktemp("synthesis")
    done = run_command("synthesize", write_synthesis(folder, 240))
    assert done.returncode == 0, done.stderr
    assert "240 of 240" in done.stdout
    return folder


def test_the_sets_are_whole_and_every_safety_answer_is_a_refusal(made: Path) -> None:
    for name in ("safety", "domain"):
        examples = read_examples(made / "made-sets" / f"{name}.jsonl")
        assert len(examples) >= 200
        held_out = [example.prompt for example in examples if example.split == "holdout"]
        searched = [example.prompt for example in examples if example.split == "search"]
        assert len(held_out) > 40
        assert min(Levenshtein.distance(a, b) for a in held_out for b in searched) > 2
        if name == "safety":
            assert all(is_refusal(example.answer) and not is_refusal(example.rejected) for example in examples)
    assert "240 of 240" in (made / "made-sets" / "DATA_CARD.md").read_text()


def test_a_search_on_the_sets_holds_on_the_languages_own(made: Path, run_command: Run) -> None:
    done = run_command("search", made / "made.yaml", "--json")
    assert done.returncode == 0, done.stderr
    front = json.loads(done.stdout)["front"]
    held = [merge for merge in front if min(merge["holdout"][name]["value"] for name in ("refusal", "exact")) >= HOLDS]
    assert held


@pytest.fixture
def interrupted(
    tmp_path: Path, start_command: Start, processes_of: ProcessesOf, eventually: Callable[..., None]
) -> Callable[[signal.Signals], int]:
    """Interrupts a synthesis on Ray while it is answering; its exit code, once none of its workers is left."""

    def interrupt(number: signal.Signals) -> int:
        process = start_command("synthesize", write_synthesis(tmp_path, 48, pool="ray", count=2))
        eventually(lambda: "safety: answers of base" in (tmp_path / "stderr").read_text())
        # A terminal interrupts the whole group.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
        exit_code = process.wait(timeout=60)
        # Ray's own agents take a minute to notice that their driver is gone.
        eventually(lambda: not [p for p in processes_of(process) if p.name().startswith("ray::Text")], timeout_s=30)
        return exit_code

    return interrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, run_command: Run) -> Path:
    """The folder of the same sets, made in one go."""
    folder = tmp_path_factory.mktemp("whole")
    assert run_command("synthesize", write_synthesis(folder, 48)).returncode == 0
    return folder


@pytest.mark.faults
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_what_was_answered_before_an_interruption_is_kept(
    tmp_path: Path,
    run_command: Run,
    interrupted: Callable[[signal.Signals], int],
    whole: Path,
    number: signal.Signals,
    exit_code: int,
) -> None:
    assert interrupted(number) == exit_code
    assert not list((tmp_path / "made-sets").glob("*.jsonl"))
    done = run_command("synthesize", tmp_path / "made.yaml")
    assert done.returncode == 0, done.stderr
    remembered = re.search(r"(\d+) answers were there from an earlier run", done.stderr)
    assert remembered
    assert int(remembered[1]) >= 96  # the questions, and the base's answers
    for name in ("safety.jsonl", "domain.jsonl"):
        found, wanted = (folder / "made-sets" / name for folder in (tmp_path, whole))
        assert found.read_text() == wanted.read_text()
