"""A trial's table of coefficients is its recipe's, with and without the models at hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.merge_recipe import owners
from search_spaces.method_signatures import METHOD_SIGNATURES
from service.demo import FAMILY
from service.search import PreparedSearch, prepare_search
from service.specification import parse_specification
from service.study_views import StudyView
from service.study_views.coefficients import CoefficientTable


def prepare(folder: Path, space: Mapping[str, Any], experts: tuple[str, ...] = ("aligned", "expert")) -> PreparedSearch:
    """A search over a copy of the bundled family."""
    for name in ("base", *experts):
        shutil.copytree(FAMILY / name, folder / name)
    objective = {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal_margin"}
    values = {
        "name": "search",
        "models": {"base": str(folder / "base"), "experts": {name: str(folder / name) for name in experts}},
        "space": space,
        "objectives": {"alignment": objective},
    }
    return prepare_search(parse_specification(json.dumps(values), Path("/")))


def view_of(prepared: PreparedSearch, line: str) -> StudyView:
    specification = prepared.specification.model_dump(mode="json")
    return StudyView("search", line, 1, 1, prepared.objectives, specification)


def table_of_recipe(prepared: PreparedSearch, params: Mapping[str, float]) -> dict[str, Any]:
    recipe = prepared.recipe(params)
    rows, groups = list(owners(recipe.signature, tuple(recipe.experts))), list(recipe.groups)
    values = {
        parameter.name: [[recipe.values(row, group).get(parameter.name) for group in groups] for row in rows]
        for parameter in recipe.signature.all_parameters
    }
    return {"models": rows, "groups": groups, "values": values}


def some_params(prepared: PreparedSearch) -> dict[str, float]:
    found: dict[str, float] = {}
    for i, (name, d) in enumerate(prepared.space.distributions().items()):
        assert isinstance(d, IntDistribution | FloatDistribution)
        is_whole = isinstance(d, IntDistribution)
        found[name] = d.low + i % (d.high - d.low + 1) if is_whole else d.low + (d.high - d.low) / (2 + i)
    return found


@pytest.mark.parametrize("method", [name for name, each in METHOD_SIGNATURES.items() if each.all_parameters])
@pytest.mark.parametrize("granularity", ["model", "layer", "module", "tensor"])
def test_table_is_that_of_the_recipe(method: str, granularity: str, tmp_path: Path) -> None:
    signature = METHOD_SIGNATURES[method]
    is_single = signature.merges_a_pair or signature.max_experts == 1
    experts = ("aligned",) if is_single else ("aligned", "expert")
    prepared = prepare(tmp_path, {"method": method, "granularity": granularity}, experts)
    params = some_params(prepared)
    view = view_of(prepared, line=str(tmp_path))
    expected = table_of_recipe(prepared, params)
    assert CoefficientTable(view).of(params) == expected
    shutil.rmtree(tmp_path / "base")
    # All is searched: the parameters alone tell the whole table.
    assert CoefficientTable(view_of(prepared, line=f"{tmp_path} anew")).of(params) == expected


BOUNDED = {
    "method": "dare_ties",
    "granularity": "layer",
    "density": 0.75,
    "bounds": [
        {"filter": "layer.0", "weight": 0.5},
        {"filter": "layer.0", "expert": "expert", "weight": [0.0, 1.0]},
        {"filter": "embeddings", "weight": 0.125},
    ],
}


def test_fixed_values_are_in_the_table(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, BOUNDED)
    params = some_params(prepared)
    view = view_of(prepared, line=str(tmp_path))
    assert CoefficientTable(view).of(params) == table_of_recipe(prepared, params)


def test_without_the_models_a_group_that_is_not_searched_is_left_out(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, BOUNDED)
    params = some_params(prepared)
    shutil.rmtree(tmp_path / "base")
    view = view_of(prepared, line=str(tmp_path))
    found, expected = CoefficientTable(view).of(params), table_of_recipe(prepared, params)
    left_out = expected["groups"].index("embeddings")
    for table in (expected["groups"], *(row for rows in expected["values"].values() for row in rows)):
        del table[left_out]
    assert found == expected
    # And they are back as soon as the models are.
    shutil.copytree(FAMILY / "base", tmp_path / "base")
    assert CoefficientTable(view).of(params) == table_of_recipe(prepared, params)
