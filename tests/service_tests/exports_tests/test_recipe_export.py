"""A recipe's merge as a folder: the weights are the live candidate's, and nothing is left of one that failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from search_spaces import MergeRecipe, from_mergekit
from search_spaces.errors import CandidateError, SpecificationError
from service.demo import FAMILY
from service.exports import RecipeExport, export_recipe
from service.mergekit.recipe_file import RecipeFile
from workers.candidate_worker import CandidateWorker, WorkerSetup

BASE, ALIGNED, EXPERT = (str(FAMILY / name) for name in ("base", "aligned", "expert"))
RECIPES: dict[str, dict[str, Any]] = {
    "by_layer": {
        "merge_method": "dare_ties",
        "base_model": BASE,
        "models": [
            {"model": ALIGNED, "parameters": {"weight": [0.2, 0.9], "density": 0.5}},
            {
                "model": EXPERT,
                "parameters": {"weight": [{"filter": "mlp", "value": 0.7}, {"value": 0.1}], "density": 1},
            },
        ],
    },
    "without_numbers": {"merge_method": "arcee_fusion", "base_model": ALIGNED, "models": [{"model": EXPERT}]},
    "without_a_base": {"merge_method": "karcher", "models": [{"model": ALIGNED}, {"model": EXPERT}]},
}


def file_of(folder: Path, values: dict[str, Any]) -> RecipeFile:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return RecipeFile.read(path)


def exported(file: RecipeFile, recipe: MergeRecipe, folder: Path) -> dict[str, torch.Tensor]:
    export_recipe(RecipeExport(file, recipe, folder, "200KB"))
    return {name: tensor for part in folder.glob("*.safetensors") for name, tensor in load_file(part).items()}


@pytest.mark.parametrize("name", RECIPES)
def test_it_holds_the_candidates_weights(tmp_path: Path, name: str) -> None:
    file = file_of(tmp_path, RECIPES[name])
    recipe = file.recipe()
    found = exported(file, recipe, tmp_path / "merge")
    candidate = CandidateWorker(WorkerSetup(recipe.folders, {}, recipe.dtype)).candidate
    candidate.make(recipe)
    wanted = dict(candidate.model.named_parameters())
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[tensor], wanted[tensor]) for tensor in wanted)


def test_it_says_where_it_comes_from(tmp_path: Path) -> None:
    file = file_of(tmp_path, RECIPES["by_layer"])
    exported(file, file.recipe(), tmp_path / "merge")
    written = (tmp_path / "merge" / "recipe.yaml").read_text()
    origin = json.loads((tmp_path / "merge" / "provenance.json").read_text())
    assert from_mergekit(written, file.base.merged_names) == file.recipe()
    assert MergeRecipe.from_dict(origin["recipe"]) == file.recipe()
    assert {model["folder"] for model in origin["models"].values()} == {BASE, ALIGNED, EXPERT}
    assert "method `dare_ties`" in (tmp_path / "merge" / "README.md").read_text()
    assert len(list((tmp_path / "merge").glob("*.safetensors"))) > 1


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    file = file_of(tmp_path, RECIPES["by_layer"])
    with pytest.raises(SpecificationError, match=r"must go to a new folder, but '.*' exists"):
        exported(file, file.recipe(), tmp_path)


def test_nothing_is_left_of_a_merge_that_cannot_be(tmp_path: Path) -> None:
    models = [{"model": name, "parameters": {"weight": 0}} for name in (ALIGNED, EXPERT)]
    file = file_of(tmp_path, {"merge_method": "linear", "models": models})
    with pytest.raises(CandidateError, match="must not be 0"):
        exported(file, file.recipe(), tmp_path / "merge")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
