"""`paretomerge descend`: a recipe from prompts without labels, which a search starts from."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]


@pytest.mark.parametrize("by", ["ada_merging", "expert_merging"])
def test_a_search_starts_from_it(by: str, run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    recipe, specification = tmp_path / "descent.yaml", write_specification(tmp_path)
    done = run_command("descend", specification, "--by", by, "--steps", "4", "--prompts", "4", "--to", recipe, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["losses"]) == 4
    assert found["losses"][-1] < found["losses"][0]
    assert 0 < found["cost_evaluations"] < 4 * 3
    started = write_specification(tmp_path, search={"start": [str(recipe)]})
    planned = run_command("plan", started, "--no-measure")
    assert planned.returncode == 0, planned.stderr
    assert "landmarks    descent, base, aligned, expert" in planned.stdout


def test_chunks_are_printed_as_a_recipe(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    done = run_command(
        "descend", write_specification(tmp_path), "--by", "expert_merging_pp", "--steps", "2", "--prompts", "2"
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["merge_method"] == "task_arithmetic"
    assert "evaluations' worth" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "adam"), "`--by` must be one of ada_merging, expert_merging, expert_merging_pp, but got 'adam'."),
        (("--teacher", "aligned"), "`--teacher` must be EXPERT=OBJECTIVE, but got 'aligned'."),
        (("--teacher", "aligned=alignment"), "`--teacher` must say for each of aligned, expert which objective's"),
        (
            ("--teacher", "aligned=alignment", "--teacher", "expert=taste"),
            "`--teacher` must name one of alignment, expertise, but got 'taste' for 'expert'.",
        ),
    ],
)
def test_bad_input_is_told(
    arguments: tuple[str, ...], message: str, run_command: Run, write_specification: Write, tmp_path: Path
) -> None:
    done = run_command("descend", write_specification(tmp_path), *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_a_method_without_gradients_is_told(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    specification = write_specification(tmp_path, space={"method": "model_stock", "granularity": "module"})
    done = run_command("descend", specification)
    assert done.returncode == 2
    assert "model_stock" in done.stderr
