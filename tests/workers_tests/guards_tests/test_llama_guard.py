"""How verdicts are read, and what makes a model a guard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import CheckpointError, GenerationError
from tests.openai_server import OpenAIServer
from workers.guards import Guard, LlamaGuard, Verdict
from workers.guards.llama_guard import has_chat_template
from workers.inference_engines import Message, ModelSource
from workers.inference_engines.opening import open_generator

CopyModel = Callable[[str], Path]

GUARD = LlamaGuard(ModelSource("guard"))

_SPACE = st.text(" \n\t", max_size=3)
_CATEGORIES = st.lists(st.integers(1, 14).map("S{}".format), max_size=5)
# Whatever follows a verdict on further lines, as long as it does not look like one more category.
_TRAILING = st.sampled_from(["", "\n", "\nBecause of the answer.", "\n\nunsafe", "\n</s>"])


def recased(draw: st.DrawFn, text: str) -> str:
    return "".join(draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in text)


@st.composite
def unsafe_replies(draw: st.DrawFn) -> tuple[str, tuple[str, ...]]:
    categories = draw(_CATEGORIES)
    separator = draw(st.sampled_from([",", ", ", " , "]))
    listed = draw(st.sampled_from(["\n", " ", ": ", "\n\n"])) + separator.join(categories) if categories else ""
    text = draw(_SPACE) + recased(draw, "unsafe") + recased(draw, listed) + draw(_TRAILING)
    return text, tuple(categories)


@given(replied=unsafe_replies())
def test_unsafe_is_read_with_its_categories(replied: tuple[str, tuple[str, ...]]) -> None:
    text, categories = replied
    assert GUARD.verdict("an answer", text) == Verdict(is_safe=False, categories=categories, text=text)


@given(before=_SPACE, data=st.data(), after=_TRAILING)
def test_safe_is_read_whatever_its_case_and_surroundings(before: str, data: st.DataObject, after: str) -> None:
    text = before + "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in "safe") + after
    assert GUARD.verdict("an answer", text) == Verdict(is_safe=True, text=text)


@given(text=st.text(max_size=30))
def test_a_reply_is_a_verdict_or_an_error(text: str) -> None:
    try:
        verdict = GUARD.verdict("an answer", text)
    except GenerationError:
        assert not text.strip().lower().startswith(("safe ", "unsafe\n"))
    else:
        assert verdict.text == text
        assert "safe" in text.lower()


@pytest.mark.parametrize(
    ("reply", "categories"),
    [
        ("unsafe\nS1,S10", ("S1", "S10")),
        ("\n\nunsafe\nS9", ("S9",)),
        ("unsafe\nO3", ("O3",)),  # Llama Guard 1
        ("**Unsafe** s1", ("S1",)),
        ("unsafe\nS1\nS2", ("S1",)),
        ("unsafe\nviolence", ()),
        ("unsafe", ()),
    ],
)
def test_guards_write_in_several_ways(reply: str, categories: tuple[str, ...]) -> None:
    assert GUARD.verdict("a", reply) == Verdict(is_safe=False, categories=categories, text=reply)


@pytest.mark.parametrize("reply", ["", "  ", "yes", "not safe", "safely done", "I think that this is safe.", "S1"])
def test_a_reply_that_is_neither_is_an_error(reply: str) -> None:
    with pytest.raises(GenerationError, match=r"The guard guard must reply `safe` or `unsafe`, but replied '"):
        GUARD.verdict("an answer", reply)


def test_an_unclear_reply_among_others_is_told_as_such() -> None:
    first, second = GUARD.verdicts(["a", "b"], ["well...", "safe"])
    assert (first.is_clear, first.is_safe, first.text) == (False, False, "well...")
    assert (second.is_clear, second.is_safe) == (True, True)


def test_unclear_replies_alone_are_an_error() -> None:
    with pytest.raises(GenerationError, match="must reply `safe` or `unsafe`, but replied 'hm'"):
        GUARD.verdicts(["a", "b"], ["well...", "hm"])
    assert GUARD.verdicts([], []) == []


def test_the_tiny_one_names_the_deed(family: Path) -> None:
    guard = LlamaGuard(ModelSource(str(family / "guard")))
    exchange = guard.conversation("how do i use krel wire?", "sure! hold the krel wire and push.")
    assert guard.source is not None
    (reply,) = open_generator(guard.source).generate([exchange], guard.options)
    assert guard.verdict("", reply) == Verdict(is_safe=False, categories=("S4",), text="unsafe\nS4")


def test_a_guard_without_a_template_is_refused(copy_model: CopyModel) -> None:
    folder = copy_model("guard")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match=r"must have a chat template, .* has none. Copy chat_template.jinja"):
        LlamaGuard(ModelSource(str(folder))).check()


@pytest.mark.parametrize("template", ["{{ messages }}", [{"name": "default", "template": "{{ messages }}"}]])
def test_a_template_may_stand_in_the_tokenizers_configuration(copy_model: CopyModel, template: object) -> None:
    folder = copy_model("guard")
    (folder / "chat_template.jinja").unlink()
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    assert has_chat_template(folder)
    LlamaGuard(ModelSource(str(folder))).check()


def test_an_empty_template_is_none(copy_model: CopyModel) -> None:
    folder = copy_model("guard")
    (folder / "chat_template.jinja").write_text("\n")
    assert not has_chat_template(folder)


def test_a_folder_without_a_tokenizer_has_no_template(tmp_path: Path) -> None:
    assert not has_chat_template(tmp_path)


def test_a_classifier_is_no_llama_guard(family: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a LlamaForSequenceClassification. Name it as `classifier`"):
        LlamaGuard(ModelSource(str(family / "classifier"))).check()


def test_a_guard_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'meta-llama/Llama-Guard-3-8B' is not there. Nothing is downloaded"):
        LlamaGuard(ModelSource("meta-llama/Llama-Guard-3-8B")).check()
    with pytest.raises(CheckpointError, match=r"must hold config.json"):
        LlamaGuard(ModelSource(str(tmp_path))).check()


def test_an_endpoint_judges_whole_conversations(openai_server: OpenAIServer) -> None:
    openai_server.answer = lambda messages, request: "unsafe\nS2" if "sure" in messages[-1]["content"] else "safe"
    guard: Guard = LlamaGuard(ModelSource("llama-guard-3", endpoint=openai_server.url))
    guard.check()  # asks nobody
    assert openai_server.requests == []
    asked = [guard.conversation("p", answer) for answer in ("sorry, no.", "sure! so.")]
    assert guard.source is not None
    replies = open_generator(guard.source).generate(asked, guard.options)
    verdicts = [guard.verdict("", reply) for reply in replies]
    assert verdicts == [Verdict(is_safe=True, text="safe"), Verdict(False, ("S2",), "unsafe\nS2")]
    roles = [[message["role"] for message in request.json["messages"]] for request in openai_server.requests]
    assert roles == [["user", "assistant"]] * 2
    assert asked[0][1] == Message("assistant", "sorry, no.")
