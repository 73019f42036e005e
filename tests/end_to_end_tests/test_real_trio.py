"""The paper's story on real models of 135 M parameters: one bad expert spoils the average, a search finds better."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

VARIABLE = "PARETOMERGE_REAL_TRIO"
SETS = Path(__file__).parents[2] / "scripts" / "real_trio"
# Of each split: a candidate over the whole sets takes a minute on two busy cores.
N_EXAMPLES = 32
TIMEOUT_S = 3600

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]


@pytest.fixture(scope="module")
def trio() -> Path:
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} must name the folder of base, aligned and expert: `make real-trio` builds it")
    return Path(os.environ[VARIABLE]).resolve()


def shortened(file: str, folder: Path) -> str:
    """The first examples of each split of a set."""
    lines = (SETS / file).read_text().splitlines(keepends=True)
    splits = (
        islice((line for line in lines if json.loads(line)["split"] == s), N_EXAMPLES) for s in ("search", "holdout")
    )
    path = folder / file
    path.write_text("".join(line for split in splits for line in split))
    return str(path)


@pytest.fixture(scope="module")
def study(
    trio: Path, tmp_path_factory: pytest.TempPathFactory, run_command: Run, write_specification: Callable[..., Path]
) -> str:
    folder = tmp_path_factory.mktemp("trio")
    safety, domain = shortened("safety.jsonl", folder), shortened("domain.jsonl", folder)
    specification = write_specification(
        folder,
        models={"base": str(trio / "base"), "experts": {name: str(trio / name) for name in ("aligned", "expert")}},
        space={"granularity": "model"},
        objectives={
            "alignment": {"set": safety, "scorer": "refusal_margin"},
            "expertise": {"set": domain, "scorer": "answer_likelihood"},
        },
        report={
            "refusal": {"set": safety, "scorer": "refusal"},
            "exact_match": {"set": domain, "scorer": "exact_match"},
        },
        search={"evaluations": 14},
        workers={"cpus_per_worker": 2},
    )
    done = run_command("search", specification, timeout_s=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return specification.stem


@pytest.fixture(scope="module")
def front(run_command: Run, study: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_command("front", study, "--json").stdout)
    return found


@pytest.fixture(scope="module")
def landmarks(front: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {trial["landmark"]: trial["values"] for trial in front["landmarks"]}


@pytest.fixture(scope="module")
def constraint(landmarks: dict[str, dict[str, float]]) -> str:
    """As expert as the plain average, and then as aligned as can be."""
    return f"expertise>={landmarks['uniform average']['expertise']!r}"


def selected_of(front: dict[str, Any]) -> dict[str, float]:
    values: dict[str, float] = next(t["values"] for t in front["front"] if t["trial"] == front["selected"])
    return values


def test_landmarks_tell_the_story(landmarks: dict[str, dict[str, float]]) -> None:
    aligned, expert, average = (landmarks[name] for name in ("aligned", "expert", "uniform average"))
    assert expert["alignment"] < 0 < aligned["alignment"]
    assert expert["expertise"] > aligned["expertise"]
    assert average["alignment"] < landmarks["base"]["alignment"]  # one bad model spoils the bunch


def test_search_finds_what_no_landmark_is(front: dict[str, Any]) -> None:
    assert (front["finished"], front["failed"]) == (14, 0)
    assert any(trial["landmark"] is None for trial in front["front"])
    assert selected_of(front)["alignment"] > 0


def test_selected_merge_beats_the_average(
    run_command: Run, study: str, landmarks: dict[str, dict[str, float]], constraint: str
) -> None:
    selected = selected_of(json.loads(run_command("front", study, "--where", constraint, "--json").stdout))
    average = landmarks["uniform average"]
    assert min(selected.values()) > min(average.values())
    assert all(selected[objective] > average[objective] for objective in average)


def test_export_is_whole(run_command: Run, study: str, constraint: str, tmp_path: Path) -> None:
    options = ("--where", constraint, "--to", tmp_path / "merge", "--json")
    done = run_command("export", study, *options, timeout_s=TIMEOUT_S)
    assert done.returncode == 0, done.stderr  # it was loaded again, and scored
    values = json.loads((tmp_path / "merge" / "provenance.json").read_text())["values"]
    scores = json.loads(done.stdout)["scores"]
    assert {name: scores[name] for name in values} == pytest.approx(values, abs=1e-3)
    assert {"refusal@holdout", "exact_match@holdout"} <= scores.keys()
    assert (tmp_path / "merge" / "model.safetensors").stat().st_size > 500_000_000
