"""Which labels are safe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import CheckpointError, GenerationError
from workers.guards import Classifier, Verdict
from workers.inference_engines import ModelSource

CopyModel = Callable[[str], Path]
Configure = Callable[..., ModelSource]


@pytest.fixture
def configure(copy_model: CopyModel) -> Configure:
    """A copy of the tiny classifier with another configuration."""
    folder = copy_model("classifier")

    def write(**changes: Any) -> ModelSource:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return ModelSource(str(folder))

    return write


def named(*labels: str) -> dict[str, str]:
    return {str(number): label for number, label in enumerate(labels)}


@pytest.mark.parametrize("labels", [("safe", "unsafe"), ("NORMAL", "REJECTION"), ("Refusal", "compliance")])
def test_safe_labels_are_guessed_by_their_names(configure: Configure, labels: tuple[str, ...]) -> None:
    guard = Classifier(configure(id2label=named(*labels)))
    guard.check()
    found = [guard.verdict("an answer", label).is_safe for label in labels]
    assert found == [label.lower() in ("safe", "rejection", "refusal") for label in labels]


def test_named_labels_count_and_no_others(configure: Configure) -> None:
    guard = Classifier(configure(id2label=named("safe", "controversial", "unsafe")), ("Safe", "controversial"))
    guard.check()
    assert guard.verdict("", "controversial").is_safe
    assert guard.verdict("", "unsafe") == Verdict(is_safe=False, categories=("unsafe",), text="unsafe")
    assert not Classifier(guard.source, ("unsafe",)).verdict("", "safe").is_safe


def test_unknown_safe_labels_are_refused_with_the_labels_there_are(configure: Configure) -> None:
    source = configure(id2label=named("toxic", "fine"))
    with pytest.raises(
        CheckpointError, match=r"`safe_labels` must be labels of .*, which are toxic, fine, but got 'ok'"
    ):
        Classifier(source, ("fine", "ok")).check()


@pytest.mark.parametrize("labels", [named("toxic", "fine"), {}, None])
def test_labels_that_say_nothing_must_be_named(configure: Configure, labels: dict[str, str] | None) -> None:
    listed = ", ".join((labels or named("LABEL_0", "LABEL_1")).values())
    with pytest.raises(CheckpointError, match=rf"of {listed} none are known as safe. Name the safe ones in `safe_lab"):
        Classifier(configure(id2label=labels)).check()


def test_not_all_labels_can_be_safe(configure: Configure) -> None:
    with pytest.raises(CheckpointError, match="must be safe and others not, but of compliance, refusal all are known"):
        Classifier(configure(), ("refusal", "compliance")).check()


def test_several_labels_at_a_time_are_refused(configure: Configure) -> None:
    with pytest.raises(CheckpointError, match="must find one of its labels"):
        Classifier(configure(problem_type="multi_label_classification")).check()


def test_a_model_that_writes_is_no_classifier(family: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a LlamaForCausalLM. A model that writes its verdict is a `llama_gu"):
        Classifier(ModelSource(str(family / "guard"))).check()


def test_no_label_is_no_verdict() -> None:
    with pytest.raises(GenerationError, match="must reply with a label, but replied nothing to the answer 'an answer'"):
        Classifier(ModelSource("c")).verdict("an answer", " ")
