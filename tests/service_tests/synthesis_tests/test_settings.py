"""What a specification may say of a synthesis; all that can be wrong is said before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_spaces.errors import CheckpointError, ExampleSetError, SpecificationError
from service.specification import load_specification
from service.synthesis import SynthesisSettings, settings_of
from service.synthesis.prompts import SAFETY_CATEGORIES, SAFETY_PROMPT, SAFETY_SYSTEM

MakeSettings = Callable[..., SynthesisSettings]
FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"


def test_defaults_are_the_papers(make_settings: MakeSettings) -> None:
    settings = make_settings(safety={}, domain=None, benign={})
    assert settings.safety
    assert settings.benign
    assert (settings.safety.rows, settings.safety.temperature) == (1000, 0.8)
    assert (settings.safety.system, settings.safety.prompt) == (SAFETY_SYSTEM, SAFETY_PROMPT)
    assert settings.safety.categories == settings.benign.categories == SAFETY_CATEGORIES
    assert len(SAFETY_CATEGORIES) == 14
    assert list(settings.pool) == ["base", "aligned", "expert"]
    assert settings.folder.name == "tiny-sets"


def test_a_prompt_of_ones_own_comes_without_our_system_text(make_settings: MakeSettings) -> None:
    settings = make_settings(safety={"prompt": "ask about {category}"})
    assert settings.safety
    assert settings.safety.system == ""
    told = make_settings(safety={"prompt": "ask about {category}", "system": "be short"})
    assert told.safety
    assert told.safety.system == "be short"


def test_examples_come_from_a_file_or_the_specification(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps({"prompt": f"{n} kg in g?"}) + "\n" for n in range(5)))
    domain = {"experts": {"expert": {"topic": "units", "examples": "examples.jsonl"}}}
    settings = make_settings(domain=domain)
    assert settings.domain
    assert len(settings.domain.experts[0].examples) == 5
    assert settings.domain.experts[0].writer == settings.pool["expert"]


def expert(**changes: Any) -> dict[str, Any]:
    given = {"topic": "units", "examples": ["a?", "b?", "c?"]} | changes
    return {"experts": {"expert": given}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": None}, "`synthesis.generator` must be given, but is missing"),
        ({"generator": {"endpoint": "http://127.0.0.1:1/v1"}}, "`synthesis.generator` must be the folder of a model"),
        ({"safety": None, "domain": None, "benign": None}, "at least one of `safety`, `domain` and `benign`"),
        ({"safety": {"prompt": "write"}}, r"`synthesis.safety.prompt` must hold \{category\}"),
        ({"safety": {"rows": 0}}, "`synthesis.safety.rows` must be greater than or equal to 1, but got 0"),
        ({"safety": {"row": 5}}, "`synthesis.safety.row` is not a key .* Did you mean `rows`?"),
        ({"domain": {"prompt": "write", **expert()}}, r"`synthesis.domain.prompt` must hold \{examples\}"),
        ({"domain": expert(examples=["a?", "b?"])}, "examples` must hold 3 to 20 questions, but holds 2"),
        ({"domain": expert(examples=[f"{n}?" for n in range(21)])}, "must hold 3 to 20 questions, but holds 21"),
        ({"domain": {"experts": {"nobody": {"topic": "t", "examples": ["a", "b", "c"]}}}}, "must be one of the models"),
        ({"guard": "goodwill"}, "`synthesis.guard"),
        ({"holdout": 1.0}, "`synthesis.holdout` must be less than 1"),
    ],
)
def test_what_cannot_be_is_refused(make_settings: MakeSettings, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        make_settings(**changes)


def test_without_a_section(tmp_path: Path) -> None:
    models = {"base": str(FAMILY / "base"), "experts": {"expert": str(FAMILY / "expert")}}
    objectives = {"skill": {"set": "s.jsonl", "scorer": "exact_match"}}
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump({"name": "plain", "models": models, "objectives": objectives}))
    with pytest.raises(SpecificationError, match="`synthesis` must say which sets to make and who writes"):
        settings_of(load_specification(path))


def test_models_and_examples_must_exist(make_settings: MakeSettings) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        make_settings(generator="nowhere")
    with pytest.raises(ExampleSetError, match=r"`synthesis.domain.experts.expert.examples`: .*nowhere.jsonl"):
        make_settings(domain=expert(examples="nowhere.jsonl"))
