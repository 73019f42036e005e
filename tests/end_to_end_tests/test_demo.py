"""`paretomerge demo`: what a newcomer sees first."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "files"


@pytest.fixture(scope="module")
def demo(run_command: Run, folder: Path) -> subprocess.CompletedProcess[str]:
    done = run_command("demo", "--to", folder, "--evaluations", "80")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def front(run_command: Run, demo: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_command("front", "demo", "--json").stdout)
    return found


def worse(trial: dict[str, Any]) -> float:
    return float(min(trial["values"].values()))


def test_front_is_found(front: dict[str, Any], demo: subprocess.CompletedProcess[str]) -> None:
    assert front["spent_evaluations"] == 80
    assert front["failed"] == 0
    assert len(front["front"]) >= 8
    assert f"{len(front['front'])} merges are on the front" in demo.stdout
    # Gradients cost several evaluations each, and a reader of both numbers is told why they differ.
    assert 80 / 3 <= front["finished"] < 80
    assert f"The front after 80 evaluations in {front['finished']} trials" in demo.stdout
    assert "Sampler gradient: " in demo.stderr


def test_selected_merge_beats_every_landmark(front: dict[str, Any], demo: subprocess.CompletedProcess[str]) -> None:
    selected = next(trial for trial in front["front"] if trial["trial"] == front["selected"])
    best = max(front["landmarks"], key=worse)
    assert worse(selected) > worse(best)
    assert (
        f"By the worse of its two objectives, the selected merge ({worse(selected):.3f}) beats "
        f"the best landmark ({best['landmark']}, {worse(best):.3f})." in demo.stdout
    )


def test_story_is_told(demo: subprocess.CompletedProcess[str]) -> None:
    for sentence in ("The expert alone is unsafe", "The naive average loses on both sides", "beat the naive average"):
        assert sentence in demo.stdout
    assert "Traceback" not in demo.stderr


def test_files_are_there(demo: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"spec.yaml", "front.png", "front.html", "merge"}
    assert {"model.safetensors", "recipe.yaml", "README.md"} <= {path.name for path in (folder / "merge").iterdir()}


def test_its_specification_can_be_planned(
    run_command: Run, demo: subprocess.CompletedProcess[str], folder: Path
) -> None:
    plan = json.loads(run_command("plan", folder / "spec.yaml", "--no-measure", "--json").stdout)
    assert plan["name"] == "demo"


def test_again_it_only_shows(
    run_command: Run, demo: subprocess.CompletedProcess[str], front: dict[str, Any], folder: Path
) -> None:
    again = run_command("demo", "--to", folder, "--evaluations", "80")
    assert again.returncode == 0, again.stderr
    assert f"{len(front['front'])} merges are on the front" in again.stdout
    assert json.loads(run_command("front", "demo", "--json").stdout) == front
