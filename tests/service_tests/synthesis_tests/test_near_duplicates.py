"""Near duplicates: left out of a set, and never on both sides of a split."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from service.synthesis.near_duplicates import MAX_EDITS, KnownQuestions, normalized, split_apart

# Few letters: many of these questions are near each other.
questions_of_few_letters = st.lists(st.text("ab ", min_size=1, max_size=9), max_size=25, unique=True)


@given(questions_of_few_letters, st.floats(0, 0.9), st.integers(0, 5))
@settings(deadline=None)
def test_no_question_is_near_one_of_the_other_split(questions: list[str], share: float, seed: int) -> None:
    splits = split_apart(questions, share, seed)
    held_out = [normalized(question) for question, split in zip(questions, splits, strict=True) if split == "holdout"]
    searched = [normalized(question) for question, split in zip(questions, splits, strict=True) if split == "search"]
    assert all(Levenshtein.distance(a, b) > MAX_EDITS for a in held_out for b in searched)
    assert len(held_out) <= round(share * len(questions))


def test_questions_far_apart_are_held_out_to_the_share() -> None:
    questions = [f"{word} {word[::-1]} question about {word * 2}?" for word in map(str, range(1000, 9000, 80))]
    assert Counter(split_apart(questions, 0.25, 0)) == {"search": 75, "holdout": 25}


def test_the_split_is_of_the_seed() -> None:
    questions = [str(number) * 6 for number in range(1, 9)]
    assert split_apart(questions, 0.5, 1) == split_apart(questions, 0.5, 1)
    assert len({tuple(split_apart(questions, 0.5, seed)) for seed in range(8)}) > 1


def test_steps_of_two_edits_connect() -> None:
    # The first and the last are far apart; those between tie them together.
    chain = ["aaaaaa", "aaaabb", "aabbbb", "bbbbbb"]
    assert set(split_apart([*chain, "something else entirely"], 0.25, 0)[:4]) == {"search"}


def test_no_questions() -> None:
    assert split_apart([], 0.25, 0) == []


@pytest.mark.parametrize("again", ["How do I bake bread?", "how do  i bake BREAD?", "How do I bake a bread?"])
def test_what_is_nearly_known_is_not_added(again: str) -> None:
    known = KnownQuestions(0.9)
    assert known.add("How do I bake bread?")
    assert not known.add(again)
    assert known.add("Where is the station?")


def test_examples_are_known_from_the_start() -> None:
    assert not KnownQuestions(1.0, ["What is 2 + 2?"]).add("what is 2 + 2?")


def test_similarity_1_leaves_out_the_same_only() -> None:
    known = KnownQuestions(1.0, ["12 kg in g?"])
    assert known.add("13 kg in g?")
    assert not known.add("12 kg in g?")
