"""`paretomerge import`: a file of mergekit's becomes a specification that `plan` takes, or one message says why not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
RECIPE = f"""
merge_method: task_arithmetic
base_model: {FAMILY}/base
models: [{{model: {FAMILY}/aligned, parameters: {{weight: [0.2, 0.9]}}}}]
dtype: float16
"""
SETS = ("--safety", FAMILY / "safety.jsonl", "--domain", FAMILY / "domain.jsonl")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


def test_what_is_written_can_be_planned(run_command: Run, recipe: Path) -> None:
    specification = recipe.with_name("search.yaml")
    done = run_command("import", recipe, *SETS, "--to", specification)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "`dtype: float16`" in done.stderr
    planned = run_command("plan", specification, "--no-measure")
    assert planned.returncode == 0, planned.stderr
    assert "landmarks    mine, base, aligned" in planned.stdout


def test_without_a_place_it_is_printed(run_command: Run, recipe: Path) -> None:
    done = run_command("import", recipe)
    assert done.stdout.startswith(f"# From {recipe}, by `paretomerge import`.\n# - `dtype: float16`")
    assert "# objectives:" in done.stdout
    assert "- A recipe has no objectives" in done.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (RECIPE, ["--to", "{recipe}"], "`--to` must be a new file, but '"),
        (RECIPE.replace("task_arithmetic", "frankenmerge"), [], "`merge_method` must be one of"),
        ("genome: {models: [a], merge_method: ties}\ntasks: [t]", [], "'ties' needs `genome.base_model`"),
        (RECIPE + "genome: {}", [], "must have either `genome`"),
        ("{", [], "must be YAML, but it cannot be parsed"),
    ],
)
def test_a_mistake_is_one_message(
    run_command: Run, recipe: Path, text: str, arguments: list[str], message: str
) -> None:
    recipe.write_text(text)
    done = run_command("import", recipe, *(argument.format(recipe=recipe) for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
