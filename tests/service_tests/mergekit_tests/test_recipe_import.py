"""A recipe becomes a search around it: one that can be run, and that begins with the recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces import METHOD_SIGNATURES, SearchSpace, SpaceOptions, to_mergekit
from search_spaces.errors import IncompatibleModelsError, RecipeError, SpecificationError
from service.demo import FAMILY
from service.mergekit.imported import ImportedSpecification, ImportOptions
from service.mergekit.importing import import_file
from service.search import PreparedSearch, prepare_search
from service.specification import load_specification
from workers.checkpoints import read_header

WriteFile = Callable[..., Path]
Sets = dict[str, Path]

WITH_NUMBERS = [name for name, signature in METHOD_SIGNATURES.items() if signature.all_parameters]
NAMES = read_header(FAMILY / "base").merged_names


def ties(**keys: Any) -> dict[str, Any]:
    models = [{"model": name, "parameters": {"weight": 0.5, "density": 0.4}} for name in ("aligned", "expert")]
    return {"merge_method": "ties", "base_model": "base", "models": models, **keys}


def prepared(found: ImportedSpecification, folder: Path) -> PreparedSearch:
    path = folder / "specification.yaml"
    path.write_text(found.to_yaml(folder / "recipe.yaml"))
    return prepare_search(load_specification(path))


@pytest.mark.parametrize("granularity", ["model", "layer", "tensor"])
@pytest.mark.parametrize("method", WITH_NUMBERS)
def test_the_search_begins_with_the_recipe(
    write_file: WriteFile, sets: Sets, tmp_path: Path, method: str, granularity: str
) -> None:
    n_experts = METHOD_SIGNATURES[method].max_experts or 2
    experts = {name: str(FAMILY / name) for name in ("aligned", "expert")[:n_experts]}
    space = SearchSpace(str(FAMILY / "base"), experts, NAMES, SpaceOptions(method, granularity))
    wanted = space.landmarks()[-1].recipe
    found = prepared(import_file(write_file(to_mergekit(wanted)), ImportOptions(granularity, **sets)), tmp_path)
    [start] = found.start
    assert (start.name, start.recipe.method, start.recipe.groups) == ("recipe", method, wanted.groups)
    # By folder: two experts that are a pair are a base and its expert in a file.
    values = {wanted.folders.get(owner, owner): given for owner, given in wanted.coefficients.items()}
    assert {
        start.recipe.folders.get(owner, owner): given for owner, given in start.recipe.coefficients.items()
    } == values


def test_it_is_as_coarse_as_the_recipe(write_file: WriteFile) -> None:
    def granularity(weight: Any) -> str:
        models = [{"model": "expert", "parameters": {"weight": weight, "density": 1}}]
        values = import_file(write_file(ties(models=models)), ImportOptions()).values
        return str(values["space"]["granularity"])

    assert granularity(0.5) == "model"
    assert granularity([0.1, 0.9]) == "layer"
    assert granularity([{"filter": "self_attn", "value": 0.1}, {"value": 0.9}]) == "module"
    assert granularity([{"filter": "q_proj", "value": 0.1}, {"value": 0.9}]) == "tensor"


def test_bounds_reach_the_recipes_own_values(write_file: WriteFile) -> None:
    models = [
        {"model": "aligned", "parameters": {"weight": -0.5, "density": 0.05}},
        {"model": "expert", "parameters": {"weight": 3, "density": 1}},
    ]
    given = ties(models=models, parameters={"normalize": False, "lambda": 0.7})
    assert import_file(write_file(given), ImportOptions()).values["space"] == {
        "method": "ties",
        "granularity": "model",
        "normalize": False,
        "weight": [-0.5, 3],
        "density": [0.05, 1],
        "lambda": 0.7,
    }


@pytest.mark.parametrize(
    ("densities", "expected"),
    [
        ((0.5, 0.6), {"density": [0.31, 0.69]}),
        ((0.305, 0.5), {"density": [0.305, 0.69]}),
        ((0.5, 1), {"density": [0.31, 0.69], "bounds": [{"expert": "expert", "density": 1.0}]}),
        ((1, 1), {"density": 1.0}),
    ],
)
def test_densities_leave_room_for_their_spread(
    write_file: WriteFile, densities: tuple[float, float], expected: dict[str, Any]
) -> None:
    models = [
        {"model": name, "parameters": {"weight": 0.5, "density": density, "epsilon": 0.3}}
        for name, density in zip(("aligned", "expert"), densities, strict=True)
    ]
    found = import_file(write_file(ties(merge_method="della", models=models)), ImportOptions()).values["space"]
    assert {key: found[key] for key in expected} == expected
    assert found["epsilon"] == 0.3


def test_notes_stand_at_the_top(write_file: WriteFile, tmp_path: Path) -> None:
    found = import_file(write_file(ties(dtype="bfloat16", tokenizer_source="union")), ImportOptions())
    text = found.to_yaml(tmp_path / "two\nlines.yaml")
    comments = [line for line in text.splitlines() if line.startswith("# -")]
    assert len(comments) == len(found.notes) == 3
    assert ["union" in comments[0], "workers.dtype" in comments[1], "--safety" in comments[2]] == [True] * 3
    assert "# objectives:" in text
    assert yaml.safe_load(text) == found.values


def test_sets_become_objectives(write_file: WriteFile, sets: Sets) -> None:
    found = import_file(write_file(ties()), ImportOptions("", **sets))
    assert [(name, each["scorer"]) for name, each in found.values["objectives"].items()] == [
        ("alignment", "refusal_margin"),
        ("expertise", "answer_likelihood"),
    ]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (ties(merge_method="arcee_fusion", models=[{"model": "expert"}]), SpecificationError, "there is one such"),
        (ties(genome={}), RecipeError, "must have either `genome`, .* or `models`, .* has both"),
        (ties(merge_method="frankenmerge"), RecipeError, "`merge_method` must be one of"),
        (ties(base_model=str(FAMILY / "classifier")), IncompatibleModelsError, "one architecture"),
        ({"tasks": []}, RecipeError, "must be a mapping with `merge_method`"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(
    write_file: WriteFile, values: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        import_file(write_file(values), ImportOptions())


def test_a_granularity_that_is_too_coarse_is_refused(write_file: WriteFile) -> None:
    models = [{"model": "expert", "parameters": {"weight": [0, 1], "density": 1}}]
    with pytest.raises(RecipeError, match="differ within groups of granularity 'model'; take a finer one"):
        import_file(write_file(ties(models=models)), ImportOptions("model"))


def test_a_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"`--domain` must be a JSONL file, but '.*' is not there"):
        replace(ImportOptions(), domain=tmp_path / "nowhere.jsonl")
