"""A recipe in a file: its models are found, its merge is read, and what it cannot have is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import CheckpointError, IncompatibleModelsError, RecipeError
from service.demo import FAMILY
from service.mergekit.recipe_file import RecipeFile

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
        ({"tokenizer_source": "union"}, ["`tokenizer_source: union` is not followed"]),
        ({"chat_template": "chatml"}, ["`chat_template: chatml` is not followed"]),
    ],
)
def test_what_is_not_followed_is_said(write_file: WriteFile, given: dict[str, Any], notes: list[str]) -> None:
    found = RecipeFile.read(write_file(RECIPE | given)).notes
    assert [note.partition(":")[0] for note in found] == [note.partition(":")[0] for note in notes]
    assert all(note.startswith(wanted) for note, wanted in zip(found, notes, strict=True))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ("merge_method: [", RecipeError, "must be YAML, but it cannot be parsed"),
        ("- 1", RecipeError, "must be a mapping with `merge_method`"),
        (RECIPE | {"merge_method": "frankenmerge"}, RecipeError, "`merge_method` must be one of .* got 'frankenmerge'"),
        (RECIPE | {"base_model": None}, RecipeError, "'ties' needs `base_model`"),
        (RECIPE | {"colour": "red"}, RecipeError, "but got `colour`"),
        (RECIPE | {"base_model": "org/model"}, CheckpointError, "'org/model' of .* is none, neither .* Download it"),
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
