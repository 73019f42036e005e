"""A search, its front and its export, by the commands alone."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces import MergeRecipe, from_mergekit
from workers.checkpoints import read_header

Run = Callable[..., subprocess.CompletedProcess[str]]

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
# What someone does who has the folder and transformers, and nothing of ours.
LOAD = """
import sys
sys.path[:] = [entry for entry in sys.path if not entry.endswith(sys.argv[2])]
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
assert not {"service", "workers", "search_spaces"} & set(sys.modules)
print(sum(parameter.numel() for parameter in model.parameters()), model.dtype, len(tokenizer))
"""


@pytest.fixture(scope="module")
def front(run_command: Run, ray_study: str) -> dict[str, Any]:
    done = run_command("front", ray_study, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def chosen(front: dict[str, Any]) -> dict[str, Any]:
    """Not the knee, so that it must be asked for: the trial that is the best in expertise."""
    found: dict[str, Any] = front["front"][-1]
    assert found["trial"] != front["selected"]
    return found


@pytest.fixture(scope="module")
def merge(run_command: Run, ray_study: str, chosen: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That trial, exported in shards."""
    folder = tmp_path_factory.mktemp("exports") / "merge"
    done = run_command(
        "export", ray_study, "--to", folder, "--trial", str(chosen["trial"]), "--max-shard-size", "200KB", "--json"
    )
    assert done.returncode == 0, done.stderr
    (folder.parent / "said.json").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def provenance(merge: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((merge / "provenance.json").read_text())
    return found


def loaded(folder: Path) -> str:
    command = [sys.executable, "-I", "-c", LOAD, str(folder), FAMILY.parents[2].name]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", timeout=120).stdout.strip()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- the front ----------------------------------------------------------------------------------


def test_postgres_has_every_trial(trials_of: Callable[[str], list[tuple[Any, ...]]], ray_study: str) -> None:
    trials = trials_of(ray_study)
    assert [number for number, *_ in trials] == list(range(14))
    assert {state for _, state, *_ in trials} == {"COMPLETE"}
    assert {(len(params), len(values)) for *_, params, values in trials} == {(12, 2)}


def test_front_is_not_dominated(trials_of: Callable[[str], list[tuple[Any, ...]]], front: dict[str, Any]) -> None:
    values = [trial[3] for trial in trials_of(front["study"])]
    kept = [one for one in values if not any(all(b > a for a, b in zip(one, other, strict=True)) for other in values)]
    shown = [list(trial["values"].values()) for trial in front["front"]]
    assert sorted(shown) == sorted(kept)


def test_landmarks_are_named(front: dict[str, Any]) -> None:
    names = {trial["landmark"] for trial in front["landmarks"]}
    assert {"base", "aligned", "expert", "uniform average"} <= names


def test_table_and_picture(run_command: Run, ray_study: str, front: dict[str, Any], tmp_path: Path) -> None:
    done = run_command("front", ray_study, "--plot", tmp_path / "front.svg")
    assert done.stdout.count(" front") + done.stdout.count(" selected") == len(front["front"])
    assert (tmp_path / "front.svg").read_text().rstrip().endswith("</svg>")


def test_constraint_moves_the_selection(run_command: Run, ray_study: str, front: dict[str, Any]) -> None:
    bound = front["front"][0]["values"]["alignment"]  # the best in alignment
    done = run_command("front", ray_study, "--json", "--where", f"alignment>={bound!r}")
    assert json.loads(done.stdout)["selected"] == front["front"][0]["trial"]


# ---- the export ---------------------------------------------------------------------------------


def test_shards_load_without_us(merge: Path) -> None:
    index = json.loads((merge / "model.safetensors.index.json").read_text())
    shards = sorted(merge.glob("*.safetensors"))
    assert sorted(set(index["weight_map"].values())) == [shard.name for shard in shards]
    assert len(shards) > 1
    assert all(shard.stat().st_size < 220_000 for shard in shards)
    assert loaded(merge) == "201280 torch.float32 448"


def test_export_scores_as_its_trial(merge: Path, chosen: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workers.example_set import of_split, read_examples
    from workers.inference_engines.transformers_engine import TransformersEngine
    from workers.scorers import SCORERS

    model = AutoModelForCausalLM.from_pretrained(merge)  # in evaluation mode
    engine = TransformersEngine(model, AutoTokenizer.from_pretrained(merge))
    given = {"alignment": ("refusal_margin", "safety.jsonl"), "expertise": ("answer_likelihood", "domain.jsonl")}
    found = {
        name: SCORERS[scorer](of_split(read_examples(FAMILY / file), "search"), engine).score().value
        for name, (scorer, file) in given.items()
    }
    assert found == pytest.approx(chosen["values"], abs=1e-3)


def test_recipe_is_that_of_the_trial(
    merge: Path, provenance: dict[str, Any], ray_study: str, trials_of: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    names = read_header(FAMILY / "base").merged_names
    recipe = from_mergekit((merge / "recipe.yaml").read_text(), names, "layer")
    assert recipe == MergeRecipe.from_dict(provenance["recipe"])
    params = trials_of(ray_study)[provenance["trial"]][2]
    coefficients = {
        f"{model}/{group}/{parameter}": value
        for model, groups in recipe.coefficients.items()
        for group, parameters in groups.items()
        for parameter, value in parameters.items()
        if parameter != "lambda"  # which is not searched
    }
    assert coefficients == params == provenance["params"]


def test_provenance_has_the_digests_of_all_inputs(provenance: dict[str, Any]) -> None:
    for name in ("base", "aligned", "expert"):
        given = provenance["models"][name]
        assert given["folder"] == str(FAMILY / name)
        assert {"model.safetensors", "config.json", "tokenizer.json"} <= given["sha256"].keys()
        assert given["sha256"] == {file: sha256(FAMILY / name / file) for file in given["sha256"]}
    assert provenance["sets"] == {
        str(path): sha256(path) for path in (FAMILY / "safety.jsonl", FAMILY / "domain.jsonl")
    }


def test_model_card_has_the_scores(merge: Path, chosen: dict[str, Any]) -> None:
    card = (merge / "README.md").read_text()
    said = json.loads((merge.parent / "said.json").read_text())
    assert said["trial"] == chosen["trial"]
    assert said["scores"].keys() == {
        "alignment",
        "expertise",
        "alignment@holdout",
        "expertise@holdout",
        "refusal@holdout",
    }
    for measure, value in said["scores"].items():
        assert any(line.startswith(f"| {measure} |") and f"{value:.4f}" in line for line in card.splitlines())


def test_others_may_read_it_and_nothing_else_is_left(merge: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in merge.iterdir()} == {0o644}
    assert stat.S_IMODE(merge.stat().st_mode) == 0o755
    assert {path.name for path in merge.parent.iterdir()} == {"merge", "said.json"}
