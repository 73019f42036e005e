"""Which models stand beside a merge: those of its provenance, and those that a person names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError, SpecificationError
from service.demo import FAMILY
from service.evaluations import models_of_export, models_of_trial, read_against
from service.search import prepare_search
from service.specification import load_specification
from service.studies import FinishedTrial


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A folder that says to be a merge of the family; one of its experts is gone."""
    folder = shutil.copytree(FAMILY / "expert", tmp_path / "merge")
    models = {name: {"folder": str(FAMILY / name)} for name in ("base", "aligned")}
    models["gone"] = {"folder": str(tmp_path / "gone")}
    (folder / "provenance.json").write_text(json.dumps({"models": models}))
    return folder


def test_an_export_names_its_models(export: Path) -> None:
    models = models_of_export(export, {})
    assert models.names == ("merge", "base", "aligned")
    assert models.folders["base"] == FAMILY / "base"
    assert dict(models.left_out) == {"gone": str(export.parent / "gone")}


def test_others_may_be_added_and_exchanged(export: Path) -> None:
    models = models_of_export(export, {"gone": FAMILY / "expert", "base": FAMILY / "aligned"})
    assert models.names == ("merge", "base", "aligned", "gone")
    assert models.folders["base"] == FAMILY / "aligned"
    assert not models.left_out


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"models": {"base": 1}}', '{"models": {}}'])
def test_without_provenance_others_must_be_named(export: Path, text: str | None) -> None:
    (export / "provenance.json").unlink()
    if text is not None:
        (export / "provenance.json").write_text(text)
    with pytest.raises(SpecificationError, match=r"names no models or is not there. Name them with `--against base=F"):
        models_of_export(export, {})
    assert models_of_export(export, {"base": FAMILY / "base"}).names == ("merge", "base")


def test_the_merge_has_its_name_alone(export: Path) -> None:
    with pytest.raises(SpecificationError, match="`--against` must name other models than the merge, but got 'merge'"):
        models_of_export(export, {"merge": FAMILY / "base"})


def test_a_merge_in_a_folder_called_like_a_model(export: Path) -> None:
    folder = export.rename(export.with_name("base"))
    models = models_of_export(folder, {})
    assert models.merge == "base (merge)"
    assert models.folders[models.merge] == folder
    assert models.folders["base"] != folder


def test_a_folder_without_a_model_is_refused_at_once(export: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config.json"):
        models_of_export(export, {"other": tmp_path})


def test_a_trial_is_made_beside_its_models(tmp_path: Path, write_specification: Callable[..., Path]) -> None:
    prepared = prepare_search(load_specification(write_specification(tmp_path)))
    params = prepared.encoded_landmarks["uniform average"]
    trial = FinishedTrial(7, params, (0.0, 0.0), (None, None), "", 0.0, 0.0, "")
    models = models_of_trial(prepared, trial, {"aligned": FAMILY / "base"})
    merge = f"{prepared.specification.name} (trial 7)"
    assert models.names == (merge, "base", "expert", "aligned")
    assert models.recipes.keys() == {merge, "base", "expert"}
    assert dict(models.folders) == {"aligned": FAMILY / "base"}


def test_against(tmp_path: Path) -> None:
    assert read_against(["a=x/y", "b=c=d"]) == {"a": Path("x/y"), "b": Path("c=d")}
    for text in ("a", "=x", "a="):
        with pytest.raises(SpecificationError, match=f"`--against` must be NAME=FOLDER.*but got '{text}'"):
            read_against([text])
