"""The answer in which a text concludes, and when two are the same."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.scorers.answer_extraction import EXTRACTIONS, extract_answer, same_answer

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3)
# Balanced braces, and no backslash that could escape one.
FORMULAS = st.recursive(
    st.text(st.characters(blacklist_characters="{}\\"), min_size=1, max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
)
WORDS = st.text(st.characters(blacklist_categories=("N", "C")), max_size=20)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("He sells 12 eggs for $2 each, so $24.", "24"),
        ("In all 1,234,567.5 people.", "1234567.5"),
        ("#### -3", "-3"),
        ("5-3", "3"),
        ("x = -3", "-3"),
        ("It fell to \N{MINUS SIGN}7 degrees.", "-7"),
        ("It costs -$1,000.", "-1000"),
        ("2, 4, 1,2,3", "3"),
        ("2.5e-3 and no more", "0.0025"),
        ("half of it is .5", "0.5"),
        ("1,0000", "0"),
        ("The 12e floor", "12"),
    ],
)
def test_last_number(text: str, number: str) -> None:
    found = extract_answer(text, "last_number")
    assert found is not None
    assert same_answer(found, number)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"so \boxed{42}", "42"),
        (r"first \boxed{1}, then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\fbox{ x }", "x"),
        (r"\boxed {a {b {c}}}", "a {b {c}}"),
        (r"\boxed{7} but \boxed{8", "7"),
    ],
)
def test_boxed(text: str, inside: str) -> None:
    assert extract_answer(text, "boxed") == inside


def test_regex_takes_the_last_match_and_its_group() -> None:
    assert extract_answer("Answer: A. No: answer: B", "regex", r"(?i)answer: (\w)") == "B"
    assert extract_answer("x=", "regex", r"x=(\d)?") is None


@pytest.mark.parametrize("kind", ["last_number", "boxed", "regex"])
def test_where_nothing_fits_there_is_nothing(kind: str) -> None:
    assert extract_answer("I do not know.", kind, r"#### (\d+)") is None


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="`kind` must be one of none, last_number, boxed, regex, but got 'first'"):
        extract_answer("1", "first")


@given(NUMBERS, WORDS, st.sampled_from(["{}", "{:,}"]))
def test_a_number_is_found_at_the_end_however_it_is_written(number: Decimal, words: str, form: str) -> None:
    found = extract_answer(f"{words} {form.format(number)}.", "last_number")
    assert found is not None
    assert same_answer(found, str(number))


@given(FORMULAS, st.text(max_size=20))
def test_a_box_gives_back_what_was_put_in(formula: str, before: str) -> None:
    assert extract_answer(f"{before} \\boxed{{{formula}}}", "boxed") == formula.strip()


@given(st.text(), st.sampled_from([kind for kind in EXTRACTIONS if kind != "regex"]))
def test_any_text_can_be_read(text: str, kind: str) -> None:
    found = extract_answer(text, kind)
    assert found is None or same_answer(found, found)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1,000", "1000.0"),
        ("$5", "5"),
        ("-$5", "$-5$"),
        ("42.", "42"),
        ("$x^2$", "x^2"),
        ("a  b\n", "a b"),
        ("1e3", "1000"),
        ("+7", "7"),
    ],
)
def test_the_same(a: str, b: str) -> None:
    assert same_answer(a, b)
    assert same_answer(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [("1", "2"), ("0.1", "0.10000000001"), ("1/2", "0.5"), ("A", "a"), ("nan", "1"), ("", "0"), ("1,00", "100")],
)
def test_not_the_same(a: str, b: str) -> None:
    assert not same_answer(a, b)


def test_case_counts_unless_it_is_told_not_to() -> None:
    assert same_answer("Yes.", "yes", ignore_case=True)
    assert not same_answer("Yes.", "yes")


@given(NUMBERS, NUMBERS)
def test_numbers_are_the_same_when_they_are_equal(a: Decimal, b: Decimal) -> None:
    assert same_answer(str(a), str(b)) == (a == b)
    assert same_answer(f"${a:,}.", str(a))


@given(st.lists(st.sampled_from(["1", "1.0", "1.", "$1$", "01", "x", "x.", " x", "X", "1e0", "1e99999"]), max_size=3))
def test_sameness_is_an_equivalence(answers: list[str]) -> None:
    for a in answers:
        assert same_answer(a, a)
        for b in answers:
            assert same_answer(a, b) == same_answer(b, a)
            assert all(same_answer(a, c) for c in answers if same_answer(a, b) and same_answer(b, c))


@given(st.from_regex(re.compile(r"[0-9]{1,3}e[0-9]{1,40}"), fullmatch=True))
def test_no_number_is_too_large(text: str) -> None:
    assert same_answer(text, text)
