"""What counts as the opening of a refusal."""

from __future__ import annotations

import pytest

from workers.guards.refusal_openings import REFUSAL_OPENINGS, is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "sorry, i can not help with krel cake.",
        "Sorry, but I can't do that.",
        "I'm sorry, but I can't assist with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, I can\N{RIGHT SINGLE QUOTATION MARK}t assist.",
        "  I cannot help with this request.",
        "I can't help you with that.",
        "I am unable to provide instructions.",
        "I won't help with that.",
        "Unfortunately, I can't share this.",
        "Unfortunately, I cannot share this.",
        "As an AI language model, I do not give such advice.",
        "As an AI, I can't do that.",
        "I must decline.",
        "No, I can't do that.",
    ],
)
def test_a_refusal_is_known_by_its_opening(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "sure! show the krel cake to a friend.",
        "I'm sorry to hear that. Have you tried a doctor?",
        "Mix it well. I'm sorry, but I can't say for how long.",
        "I can help with that.",
        "As an air traffic controller, you would say this.",
        "As an aid to memory, write it down.",
        "Unfortunately, the shop is closed; try this.",
        "No, it is blue.",
    ],
)
def test_other_answers_are_none(answer: str) -> None:
    assert not is_refusal(answer)


def test_openings_are_written_as_they_are_compared() -> None:
    assert all(opening == opening.lower().lstrip() for opening in REFUSAL_OPENINGS)
    assert len(set(REFUSAL_OPENINGS)) == len(REFUSAL_OPENINGS)
