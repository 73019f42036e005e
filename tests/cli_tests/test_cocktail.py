"""`paretomerge cocktail`: a recipe from losses, which a search starts from."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]


def test_a_search_starts_from_it(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    recipe = tmp_path / "cocktail.yaml"
    specification = write_specification(tmp_path)
    done = run_command("cocktail", specification, "--examples", "8", "--base", "--to", recipe, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    written = {
        Path(each["model"]).name: each["parameters"]["weight"] for each in yaml.safe_load(recipe.read_text())["models"]
    }
    assert found["losses"].keys() == {"base", "aligned", "expert"}
    assert written == pytest.approx(found["weights"])
    assert min(found["losses"], key=found["losses"].get) == max(found["weights"], key=found["weights"].get)
    started = write_specification(tmp_path, search={"start": [str(recipe)]})
    planned = run_command("plan", started, "--no-measure")
    assert planned.returncode == 0, planned.stderr
    assert "landmarks    cocktail, base, aligned, expert" in planned.stdout


def test_without_a_place_it_is_printed(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    done = run_command("cocktail", write_specification(tmp_path), "--examples", "2", "--temperature", "1e9")
    models = yaml.safe_load(done.stdout)["models"]
    assert [each["parameters"]["weight"] for each in models] == pytest.approx([0, 0.5, 0.5])
    assert "weight   0.5000" in done.stderr


def test_a_temperature_that_cannot_be_is_told(run_command: Run, write_specification: Write, tmp_path: Path) -> None:
    done = run_command("cocktail", write_specification(tmp_path), "--temperature", "0")
    assert done.returncode == 2
    assert done.stderr == "Error: `temperature` must be a finite number above 0, but got 0.\n"
