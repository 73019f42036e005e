"""A configuration of mergekit-evolve becomes a search over the same models and tasks, for a front."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import RecipeError
from service.demo import FAMILY
from service.mergekit.imported import ImportedSpecification, ImportOptions
from service.mergekit.importing import import_file
from service.search import prepare_search
from service.specification import parse_specification

WriteFile = Callable[..., Path]
Import = Callable[..., ImportedSpecification]


@pytest.fixture
def imported(write_file: WriteFile) -> Import:
    """Import a configuration; keywords are keys of its genome."""

    def imports(keys: dict[str, Any] | str | None = None, options: ImportOptions | None = None, **genome: Any) -> Any:
        if isinstance(keys, str):
            return import_file(write_file(keys, "evolve.yaml"), ImportOptions())
        given = {"models": ["aligned", "expert"], "merge_method": "ties", "base_model": "base", **genome}
        values = {"genome": {key: value for key, value in given.items() if value is not ...}, "tasks": ["t"]}
        return import_file(write_file(values | (keys or {}), "evolve.yaml"), options or ImportOptions())

    return imports


def test_models_method_and_tasks(imported: Import) -> None:
    values = imported().values
    assert values["models"] == {
        "base": str(FAMILY / "base"),
        "experts": {name: str(FAMILY / name) for name in ("aligned", "expert")},
    }
    assert values["space"] == {"method": "ties", "granularity": "model", "weight": [0, 1.5], "density": [0.1, 1]}
    assert values["objectives"] == {
        "t": {"scorer": "lm_eval", "options": {"tasks": ["t"], "metric": "acc", "apply_chat_template": True}}
    }


@pytest.mark.parametrize(
    ("genome", "space"),
    [
        ({"layer_granularity": 1}, {"granularity": "layer"}),
        ({"layer_granularity": 2}, {"granularity": "blocks:2"}),
        ({"layer_granularity": 4}, {"granularity": "blocks:1"}),
        ({"layer_granularity": 2, "smooth": True}, {"granularity": "blocks:2"}),
        ({"filters": ["self_attn", "mlp"]}, {"granularity": "module"}),
        ({"filters": ["norm"], "layer_granularity": 1}, {"granularity": "module"}),
        ({"filters": ["q_proj"]}, {"granularity": "tensor"}),
        ({"merge_method": "dare_ties"}, {"normalize": True}),
        ({"merge_method": "dare_ties", "normalize": False}, {}),
        ({"merge_method": "ties", "normalize": False}, {"normalize": False}),
        ({"merge_method": "task_arithmetic"}, {}),
        ({"allow_negative_weights": True}, {"weight": [-1.5, 1.5]}),
        ({"merge_method": "linear", "allow_negative_weights": True}, {"weight": [0, 1]}),
    ],
)
def test_the_space(imported: Import, genome: dict[str, Any], space: dict[str, Any]) -> None:
    found = imported(**genome).values["space"]
    assert {key: found.get(key) for key in space} == space
    assert "normalize" in space or "normalize" not in found


@pytest.mark.parametrize(
    ("keys", "genome", "note"),
    [
        ({}, {"smooth": True, "layer_granularity": 2}, "`smooth`: "),
        ({}, {"filters": ["q_proj"]}, "`filters: [q_proj]`: "),
        ({}, {"tokenizer_source": "union"}, "`models.tokenizer: union` is for models of differing tokens"),
        ({}, {"base_model": "aligned"}, "is listed among the models as well: it is `models.base`, and no expert"),
        ({}, {"merge_method": "linear", "base_model": ...}, "stands first, and there is no base"),
        ({}, {"models": ["./nowhere"]}, "'./nowhere' is no folder here: name its folder"),
        ({}, {"merge_method": "linear", "allow_negative_weights": True}, "linear takes none here"),
        ({}, {"layer_granularity": 3, "base_model": "org/base"}, "write `granularity: blocks:N`"),
        ({"shuffle": True}, {}, "`shuffle`: "),
        ({"random_init": True}, {}, "`random_init`: "),
        ({"fewshot_as_multiturn": False}, {}, "`fewshot_as_multiturn: false`: "),
        ({"wandb": 1}, {}, "Unknown, and left out: `wandb`."),
        ({"tasks": [{"name": "a", "weight": -1}, "b"]}, {}, "'a' has the weight -1 and is left out"),
        ({"tasks": [{"name": "a", "weight": 0.5}, "b"]}, {}, "The weights a 0.5, b 1 are not used"),
    ],
)
def test_what_is_not_translated_is_said(
    imported: Import, keys: dict[str, Any], genome: dict[str, Any], note: str
) -> None:
    told = imported(keys, **genome).notes
    assert [each for each in told if note in each]
    assert not [each for each in imported().notes if note in each]


@pytest.mark.parametrize(
    ("source", "owner"), [("base", None), ("union", "union"), ("expert", "expert"), (str(FAMILY / "base"), None)]
)
def test_whose_tokens_a_merge_has(imported: Import, source: str, owner: str | None) -> None:
    # As text, for the fixture would take `base` for the family's.
    given = str(FAMILY / source) if source == "expert" else source
    genome = {"models": [str(FAMILY / "expert")], "merge_method": "ties", "base_model": str(FAMILY / "base")}
    found = imported(json.dumps({"genome": genome | {"tokenizer_source": given}, "tasks": ["t"]}))
    assert found.values["models"].get("tokenizer") == owner


def test_hub_ids_stay(imported: Import) -> None:
    models = imported(base_model="org/base", models=["org/tuned@v1", "org/other+org/lora"]).values["models"]
    assert models == {"base": "org/base", "experts": {"tuned_v1": "org/tuned@v1", "lora": "org/other+org/lora"}}


def test_each_task_is_an_objective(imported: Import, tmp_path: Path) -> None:
    tasks = [{"name": "gsm8k", "metric": "exact_match,strict-match", "weight": 2}, "org/task", "org_task"]
    keys = {"tasks": tasks, "limit": 9, "num_fewshot": 2, "apply_chat_template": False}
    objectives = imported(keys, ImportOptions(include_path=tmp_path)).values["objectives"]
    common = {"limit": 9, "num_fewshot": 2, "include_path": str(tmp_path), "apply_chat_template": False}
    assert {name: each["options"] for name, each in objectives.items()} == {
        "gsm8k": {"tasks": ["gsm8k"], "metric": "exact_match,strict-match", **common},
        "org_task": {"tasks": ["org/task"], "metric": "acc", **common},
        "org_task_2": {"tasks": ["org_task"], "metric": "acc", **common},
    }


def test_alignment_may_be_added(imported: Import) -> None:
    found = imported(options=ImportOptions(safety=FAMILY / "safety.jsonl")).values["objectives"]
    assert list(found) == ["alignment", "t"]


def test_what_comes_out_can_be_searched(imported: Import, tmp_path: Path, write_task: Callable[..., Path]) -> None:
    pytest.importorskip("lm_eval")
    rows = [{"q": "one", "choices": ["a", "b"]}, {"q": "two", "choices": ["a", "b"]}]
    tasks = write_task(tmp_path, "t", rows, output_type="multiple_choice", doc_to_text="{{q}}",
                       doc_to_choice="{{choices}}", doc_to_target=0)  # fmt: skip
    found = imported(options=ImportOptions(include_path=tasks), layer_granularity=2)
    prepared = prepare_search(parse_specification(json.dumps(found.values), tmp_path))
    assert prepared.objectives == ("t",)
    # Two blocks, the embeddings and the final norm.
    assert prepared.space.n_dims == 2 * 2 * 4


@pytest.mark.parametrize(
    ("keys", "genome", "message"),
    [
        ({}, {"base_model": ...}, "'ties' needs `genome.base_model`"),
        ({}, {"merge_method": "frankenmerge"}, "`genome.merge_method` must be one of .* got 'frankenmerge'"),
        ({}, {"colour": 1}, "`genome` takes models, .* but got `colour`"),
        ({}, {"models": ...}, "`genome.models` must be a list with at least one entry"),
        ({}, {"models": [{"path": "x"}]}, "`genome.models` must be text"),
        ({}, {"models": ["expert", "expert"]}, "must name each model once"),
        ({}, {"layer_granularity": 3}, "`layer_granularity` must divide the base's 4 layers, but is 3"),
        ({}, {"layer_granularity": True}, "`layer_granularity` must be a whole number, but got True"),
        ({}, {"merge_method": "slerp", "models": ["aligned", "expert", "x"]}, "'slerp' merges two models"),
        ({}, {"tokenizer_source": "x"}, "`tokenizer_source` must be base, union or a model of `genome`"),
        ({}, {"smooth": 1}, "`smooth` must be true or false"),
        ({"tasks": []}, {}, "`tasks` must be a list with at least one entry"),
        ({"tasks": [{"name": "t", "metrics": "acc"}]}, {}, "`tasks` takes name, .* but got `metrics`"),
        ({"limit": "all"}, {}, "`limit` must be a whole number, but got 'all'"),
        ({"genome": 3}, {}, "`genome` must be a mapping, but got 3"),
        ({"slices": []}, {}, "either `genome`, of mergekit-evolve, or `slices`, of a recipe"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    imported: Import, keys: dict[str, Any], genome: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        imported(keys, **genome)
