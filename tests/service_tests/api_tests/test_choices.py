"""What the form can offer: all of it is taken when it comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from search_spaces.method_signatures import METHOD_SIGNATURES
from service.samplers import SAMPLERS
from workers.scorers import SCORERS


def test_choices(client: TestClient) -> None:
    choices = client.get("/v1/choices").json()
    assert [method["name"] for method in choices["methods"]] == list(METHOD_SIGNATURES)
    assert [scorer["name"] for scorer in choices["scorers"]] == list(SCORERS)
    assert choices["samplers"] == ["auto", *SAMPLERS]
    assert choices["models"] == ["aligned", "base", "expert"]
    assert choices["sets"] == ["benign.jsonl", "domain.jsonl", "safety.jsonl"]
    ties = next(method for method in choices["methods"] if method["name"] == "ties")
    searched = {"weight": [0.0, 1.5], "density": [0.1, 1.0]}
    assert ties["parameters"] == searched | {"lambda": [1.0, 1.0], "rescale": [0.0, 0.0]}


def test_sets_are_needed_where_a_scorer_has_no_examples(client: TestClient) -> None:
    needs_set = {scorer["name"]: scorer["needs_set"] for scorer in client.get("/v1/choices").json()["scorers"]}
    assert needs_set == {name: not scorer.brings_examples for name, scorer in SCORERS.items()}


def test_the_demonstration_is_ready_to_be_launched(client: TestClient) -> None:
    demo = client.get("/v1/choices").json()["demo"]
    assert client.post("/v1/searches", json=demo).status_code == 201
    again = client.get("/v1/choices").json()["demo"]
    assert again["name"] != demo["name"]
    assert client.post("/v1/searches", json=again).status_code == 201


def test_models_and_sets_can_be_named_as_they_are_listed(client: TestClient, specification: dict[str, Any]) -> None:
    choices = client.get("/v1/choices").json()
    specification["models"] = {"base": choices["models"][1], "experts": {"one": choices["models"][0]}}
    specification["objectives"]["alignment"]["set"] = choices["sets"][2]
    answer = client.post("/v1/searches", json=specification)
    assert answer.status_code == 201, answer.text
    assert Path(answer.json()["specification"]["models"]["base"]).name == "base"
