"""Grades as judges write them."""

from __future__ import annotations

import pytest

from workers.scorers.grade_reading import read_grade

FORMS = (
    '{{"score": {}}}',
    '{{"Score":"{}"}}',
    "{{'score': {}}}",
    '```json\n{{"reason": "2 of 3 steps are right", "score": {}}}\n```',
    '{{"helpfulness_score": 3, "score": {}}}',
    "{}",
    " {}.\n",
    "**{}**",
    "`{}`",
    "{}/10",
    "**{}**/10",
    "{} / 10.",
    "{} out of 10",
    "Score: {}",
    "score = {}",
    "**Score:** {}",
    "**Score: {}/10**",
    "Score (1-10): {}",
    "On a scale from 1 to 10, the score is {}.",
    "Rating: [[{}]]",
    "It answers 2 of the 3 questions.\n\nFinal grade: {}",
    "Score: {}. I say it again: {}/10.",
    "<think>A score of 3? Or 4/10?</think>\nScore: {}",
    "A score of 3? Or 4/10?</think>{}",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("grade", ["1", "7", "10", "7.5"])
def test_a_grade_is_read_however_it_is_put(form: str, grade: str) -> None:
    assert read_grade(form.replace("{}", grade).replace("{{", "{").replace("}}", "}")) == float(grade)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "A good answer.",
        "There are 3 mistakes in it.",
        '{"score": 0}',
        '{"score": 11}',
        '{"score": -7}',
        '{"score": 70}',
        '{"score": 1000000000}',
        '{"score": null}',
        '{"score"',
        "Score: -3",
        "Score: 70/100",
        "Score: 4/5",
        "Score: **4** / 5",
        "Score: 70%",
        "Score: 7-8",
        "Score: 7,5",
        "7 to 8",
        "Helpfulness score: 8, correctness score: 4",
        '{"score": 8} {"score": 4}',
        "<think>It deserves a score: 7",
        "10 10",
    ],
)
def test_what_is_no_grade_is_not_read(reply: str) -> None:
    assert read_grade(reply) is None


@pytest.mark.parametrize("text", ["1" * 50_000, "score " * 10_000, "*" * 50_000, "<think>" * 10_000, "7/" * 20_000])
def test_a_long_reply_takes_no_long_time(text: str) -> None:
    read_grade(text)
