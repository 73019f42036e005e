"""A recipe in a file: its models are found, its merge is read, and what it cannot have is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces.errors import CheckpointError, IncompatibleModelsError, RecipeError
from service.demo import FAMILY
from service.mergekit.recipe_file import RecipeFile
from tests.hub_cache import HubCache

WriteFile = Callable[..., Path]

RECIPE: dict[str, Any] = {
    "merge_method": "ties",
    "base_model": "base",
    "models": [{"model": name, "parameters": {"weight": 0.5, "density": 0.4}} for name in ("aligned", "expert")],
}


def test_the_merge_has_the_models_folders(write_file: WriteFile) -> None:
    recipe = RecipeFile.read(write_file(RECIPE)).recipe()
    assert recipe.folders == {name: str(FAMILY / name) for name in ("base", "aligned", "expert")}
    assert recipe.values("expert", "model") == {"weight": 0.5, "density": 0.4}


def test_models_are_seen_from_the_file_and_then_from_here(
    write_file: WriteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_file({"merge_method": "passthrough", "models": [{"model": "./tuned"}]})
    monkeypatch.chdir(shutil.copytree(FAMILY / "expert", tmp_path / "here" / "tuned").parent)
    assert RecipeFile.read(path).recipe().base == str(tmp_path / "here" / "tuned")
    shutil.copytree(FAMILY / "expert", tmp_path / "tuned")
    assert RecipeFile.read(path).recipe().base == str(tmp_path / "tuned")


def test_hub_ids_and_adapters_are_models(write_file: WriteFile, hub_cache: HubCache, adapter: Path) -> None:
    commit = hub_cache.add("org/tuned", FAMILY / "expert")
    adapted = f"{FAMILY / 'base'}+{adapter}"
    models = [{"model": model, "parameters": {"weight": 0.5, "density": 1}} for model in ("org/tuned", adapted)]
    file = RecipeFile.read(write_file(RECIPE | {"models": models}))
    recipe = file.recipe()
    assert list(recipe.experts.values()) == [f"org/tuned@{commit}", adapted]
    assert [header.adapter is None for header in file.headers(recipe).values()] == [True, True, False]


def other_tokens(folder: Path) -> str:
    """The family's expert with a token of another name."""
    shutil.copytree(FAMILY / "expert", folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    used = {token for merge in tokenizer["model"]["merges"] for token in (*merge, "".join(merge))}
    token = next(token for token in reversed(vocabulary) if token not in used)
    vocabulary["otherwise"] = vocabulary.pop(token)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return str(folder)


@pytest.mark.parametrize(("source", "owner"), [("union", "union"), ("base", "base"), ("expert", "other")])
def test_tokens_are_whose_the_file_says(write_file: WriteFile, tmp_path: Path, source: str, owner: str) -> None:
    other = other_tokens(tmp_path / "other")
    models = [{"model": other, "parameters": {"weight": 0.5, "density": 1}}]
    text = yaml.safe_dump(
        RECIPE
        | {"base_model": str(FAMILY / "base"), "models": models}
        | {"tokenizer_source": other if source == "expert" else source}
    )
    file = RecipeFile.read(write_file(text))
    assert file.recipe().tokenizer_source == owner
    assert file.notes == []


def test_differing_tokens_need_a_source(write_file: WriteFile, tmp_path: Path) -> None:
    models = [{"model": other_tokens(tmp_path / "other"), "parameters": {"weight": 0.5, "density": 1}}]
    file = RecipeFile.read(write_file(RECIPE | {"models": models}))
    with pytest.raises(IncompatibleModelsError, match="must have the base's vocabulary"):
        file.headers(file.recipe())


@pytest.mark.parametrize(
    ("given", "dtype"),
    [({}, "float16"), ({"dtype": "bfloat16"}, "bfloat16"), ({"dtype": "float32", "out_dtype": "bfloat16"}, "bfloat16")],
)
def test_a_merge_has_the_dtype_that_is_asked_for_or_its_bases(
    write_file: WriteFile, given: dict[str, str], dtype: str
) -> None:
    assert RecipeFile.read(write_file(RECIPE | given)).recipe().dtype == dtype


@pytest.mark.parametrize(
    ("given", "notes"),
    [
        ({}, []),
        ({"tokenizer_source": "base", "chat_template": None, "parameters": {"int8_mask": True}}, []),
        ({"tokenizer_source": "union"}, ["`tokenizer_source: union` changes no row"]),
        (
            {"tokenizer": {"source": "union", "pad_to_multiple_of": 8}},
            ["`tokenizer_source: union` changes no row", "`tokenizer`: pad_to_multiple_of is not followed"],
        ),
        ({"chat_template": "chatml"}, ["`chat_template: chatml` is not followed"]),
    ],
)
def test_what_is_not_followed_is_said(write_file: WriteFile, given: dict[str, Any], notes: list[str]) -> None:
    found = RecipeFile.read(write_file(RECIPE | given)).notes
    assert all(note.startswith(wanted) for note, wanted in zip(found, notes, strict=True))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ("merge_method: [", RecipeError, "must be YAML, but it cannot be parsed"),
        ("- 1", RecipeError, "must be a mapping with `merge_method`"),
        (RECIPE | {"merge_method": "frankenmerge"}, RecipeError, "`merge_method` must be one of .* got 'frankenmerge'"),
        (RECIPE | {"base_model": None}, RecipeError, "'ties' needs `base_model`"),
        (RECIPE | {"colour": "red"}, RecipeError, "but got `colour`"),
        (RECIPE | {"base_model": "./nowhere"}, CheckpointError, "'./nowhere' of .* is no folder, neither seen from"),
        (RECIPE | {"models": []}, RecipeError, "`models` must be a list with at least one entry"),
    ],
)
def test_what_is_no_recipe_is_refused(write_file: WriteFile, values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RecipeFile.read(write_file(values)).recipe()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"must be a YAML file, but '.*nowhere\.yaml' is not there"):
        RecipeFile.read(tmp_path / "nowhere.yaml")


def test_stacked_layers_are_refused(write_file: WriteFile) -> None:
    sources = [{"sources": [{"model": name, "layer_range": [0, 2]}]} for name in ("aligned", "expert")]
    file = RecipeFile.read(write_file({"merge_method": "passthrough", "slices": sources}))
    with pytest.raises(RecipeError, match="stacked or reordered layers are no merge"):
        file.recipe()


def test_models_must_fit(write_file: WriteFile) -> None:
    file = RecipeFile.read(write_file(RECIPE | {"base_model": str(FAMILY / "classifier")}))
    with pytest.raises(IncompatibleModelsError, match="All models must have one architecture"):
        file.headers(file.recipe())
