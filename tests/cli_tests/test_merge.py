"""`paretomerge merge`: a recipe becomes a folder in one command, or one message says why not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
RECIPE = f"""
merge_method: dare_linear
base_model: {FAMILY}/base
tokenizer_source: union
models: [{{model: {FAMILY}/expert, parameters: {{weight: 0.8, density: 0.5}}}}]
"""


def test_a_recipe_becomes_a_folder(run_command: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    folder = tmp_path / "merge"
    done = run_command("merge", tmp_path / "recipe.yaml", "--to", folder, "--dtype", "bfloat16", "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)
    assert "`tokenizer_source: union` changes no row" in done.stderr
    recipe = json.loads((folder / "provenance.json").read_text())["recipe"]
    assert (recipe["seed"], recipe["dtype"]) == (5, "bfloat16")
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        (("dare_linear", "frankenmerge"), [], "`merge_method` must be one of"),
        (("weight: 0.8", "weight: 80"), [], "`weight` of 'dare_linear' must be in [-10, 10], but got 80"),
        (("", ""), ["--dtype", "int4"], "`dtype` must be one of float32, bfloat16, float16, but got 'int4'"),
        (("", ""), ["--max-shard-size", "huge"], "`max_shard_size` must be a number and KB"),
    ],
)
def test_a_mistake_is_one_message(
    run_command: Run, tmp_path: Path, changes: tuple[str, str], arguments: list[str], message: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace(*changes))
    done = run_command("merge", tmp_path / "recipe.yaml", "--to", tmp_path / "merge", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "merge").exists()
