"""Whose tokens a merge has, from the space to mergekit's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from search_spaces import MergeRecipe, SearchSpace, to_mergekit

MakeSpace = Callable[..., SearchSpace]


def recipe_of(make_space: MakeSpace, method: str, source: str | None) -> MergeRecipe:
    return make_space(method, "model", tokenizer_source=source).landmarks()[0].recipe


@pytest.mark.parametrize(
    ("source", "written"), [("union", "union"), ("base", "/models/start"), ("chat", "/models/chat")]
)
def test_mergekit_is_told_by_the_models_own_name(make_space: MakeSpace, source: str, written: str) -> None:
    config: dict[str, Any] = yaml.safe_load(to_mergekit(recipe_of(make_space, "task_arithmetic", source)))
    assert config["tokenizer_source"] == written
    assert config["base_model"] == "/models/start"


def test_a_union_of_whole_models_begins_with_the_bases_tokens(make_space: MakeSpace) -> None:
    config = yaml.safe_load(to_mergekit(recipe_of(make_space, "linear", "union")))
    assert config["base_model"] == "/models/start"
    assert "/models/start" in [entry["model"] for entry in config["models"]]


def test_models_of_one_vocabulary_need_no_word(make_space: MakeSpace) -> None:
    recipe = recipe_of(make_space, "linear", None)
    assert not {"tokenizer_source", "base_model"} & yaml.safe_load(to_mergekit(recipe)).keys()
    assert MergeRecipe.from_dict(recipe.to_dict()) == recipe
    older = {key: value for key, value in recipe.to_dict().items() if key != "tokenizer_source"}
    assert MergeRecipe.from_dict(older) == recipe
