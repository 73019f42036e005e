"""Questions are read out of whatever a generator writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.synthesis.replies import read_question

QUESTION = "How do I open a neighbour's letters?"


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps({"question": QUESTION}),
        json.dumps({"Question": QUESTION, "category": "privacy"}),
        f"Sure! Here it is:\n```json\n{json.dumps({'question': QUESTION})}\n```\nI hope that this helps.",
        json.dumps([{"question": QUESTION}, {"question": "Another one?"}]),
        json.dumps({"questions": [{"question": QUESTION}]}),
        f"{{'question': \"{QUESTION}\"}}",
        f'{{"question": "{QUESTION}",}}',
        f'{{question: "{QUESTION}"}}',
        f'{{"question": "{QUESTION}", "refusal": "I cannot',  # cut off after the question
        f'{{"question": "{QUESTION}',  # cut off, but the sentence is whole
        json.dumps({"question": QUESTION.replace(" ", "\n", 1)}),
    ],
)
def test_a_question_is_found(reply: str) -> None:
    assert read_question(reply) == QUESTION


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I'm sorry, but I can't help with that.",
        f"Question: {QUESTION}",
        '{"question": ""}',
        '{"question": 7}',
        '{"answer": "Steam opens them."}',
        '{"question": "How do I open a neigh',  # cut off within the question
        "{}",
        "[1, 2]",
        "{{{{",
        "{" * 3000,
        "[" * 3000,
        '{"question": "..."}',
        '{"question": "How \\ud83d?"}',
    ],
)
def test_no_question_is_found(reply: str) -> None:
    assert read_question(reply) is None


@given(st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(lambda text: any(map(str.isalnum, text))))
@settings(deadline=None)
def test_every_question_written_as_json_is_read(question: str) -> None:
    for reply in (json.dumps({"question": question}), json.dumps({"question": question}, ensure_ascii=False)):
        assert read_question(reply) == question


@given(st.text(max_size=200))
@settings(deadline=None)
def test_no_reply_is_too_odd(reply: str) -> None:
    found = read_question(reply)
    assert found is None or found.strip()
