"""What a specification says of guards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import SpecificationError
from workers.guards import Classifier, LlamaGuard, Openings, guard_from
from workers.inference_engines import ModelSource

ENDPOINT = {"endpoint": "http://localhost:8000/v1", "model": "llama-guard-3"}


def test_words_mean_guards() -> None:
    assert guard_from("openings", "guard") == Openings()
    assert guard_from({"llama_guard": "models/guard"}, "guard") == LlamaGuard(ModelSource("models/guard"))
    assert guard_from({"llama_guard": ENDPOINT}, "guard") == LlamaGuard(
        ModelSource("llama-guard-3", endpoint="http://localhost:8000/v1")
    )
    classifier = guard_from({"classifier": "c", "safe_labels": ["fine", "refusal"]}, "guard")
    assert classifier == Classifier(ModelSource("c"), ("fine", "refusal"))


@pytest.mark.parametrize(
    "given",
    ["nobody", "", None, 3, [], {}, {"guard": "x"}, {"llama_guard": "x", "classifier": "y"}, {"safe_labels": ["a"]}],
)
def test_other_words_are_refused(given: Any) -> None:
    with pytest.raises(SpecificationError, match=r"`synthesis.guard` must be `openings`, or a mapping with"):
        guard_from(given, "synthesis.guard")


@pytest.mark.parametrize("name", ["llama_guard", "classifier"])
@pytest.mark.parametrize("source", [None, "", 3, {"endpoint": "http://x/v1"}, {"model": "m", "port": 1}])
def test_a_source_must_be_a_folder_or_an_endpoint(name: str, source: Any) -> None:
    with pytest.raises(SpecificationError, match=f"`guard.{name}` must be the folder of a model, or a mapping with"):
        guard_from({name: source}, "guard")


def test_a_guard_that_needs_a_model_is_not_named_alone() -> None:
    with pytest.raises(SpecificationError, match=r"`guard.llama_guard` must be the folder of a model"):
        guard_from("llama_guard", "guard")


def test_openings_take_no_model() -> None:
    with pytest.raises(SpecificationError, match="`guard` must be `openings` alone"):
        guard_from({"openings": "models/guard"}, "guard")


@pytest.mark.parametrize("labels", ["refusal", [1], [""], {"refusal": 1}])
def test_safe_labels_are_a_list_of_labels(labels: Any) -> None:
    with pytest.raises(SpecificationError, match=r"`guard.safe_labels` must be a list of labels"):
        guard_from({"classifier": "c", "safe_labels": labels}, "guard")


def test_a_classifier_has_no_endpoint() -> None:
    with pytest.raises(SpecificationError, match=r"`guard.classifier` must be the folder of a sequence-classification"):
        guard_from({"classifier": ENDPOINT}, "guard")


def test_endpoints_are_seen_from_everywhere_alike() -> None:
    guard = guard_from({"llama_guard": ENDPOINT}, "guard")
    assert guard.seen_from(Path("/somewhere")) == guard
