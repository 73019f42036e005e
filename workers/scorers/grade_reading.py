"""The grade in what a judge replies, however it puts it."""

from __future__ import annotations

import re

LOWEST, HIGHEST = 1, 10

# Models that think aloud begin with it, and weigh grades there that they do not give; cut off, it has no end.
_THOUGHTS = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)
# "on a scale from 1 to 10", "(1-10)": the scale, not a grade.
_SCALE = re.compile(rf"\b{LOWEST}\s*(?:-|\N{{EN DASH}}|to)\s*{HIGHEST}\b")
# Digits whole or not at all: not the 7 of 70, 7,5, -7 or 7-8; and of no other scale, as 7/20 and 7 % are.
_NUMBER = (
    r"(?<![-\d.,])((?>\d+(?:\.\d+)?))(?![.,]?\d|\s*%)"
    rf"(?!\W{{0,4}}?(?:/|out of)\W*+(?!{HIGHEST}\b))(?!\s*(?:-|\N{{EN DASH}}|to)\s*\d)"
)
# The surest first: `"score": 7`; then `Score: 7`, `**Rating:** 7` and `7/10`; then a number and nothing but signs.
_FORMS = (
    re.compile(rf"[\"']score[\"']\s*:\s*[\"']?{_NUMBER}", re.IGNORECASE),
    re.compile(
        rf"\b(?:score|grade|rating)(?:\s+(?:is|of|would be))?\W{{0,8}}?{_NUMBER}"
        rf"|{_NUMBER}\W{{0,4}}?(?:/|out of)\W*{HIGHEST}\b",
        re.IGNORECASE,
    ),
    re.compile(rf"\A\W*?{_NUMBER}\W*\Z"),
)


def read_grade(reply: str) -> float | None:
    """The grade, from 1 to 10; None where the reply gives none, or several that differ."""
    text = _SCALE.sub(" ", _THOUGHTS.sub(" ", reply))
    for form in _FORMS:
        found = {float(number) for match in form.finditer(text) for number in match.groups() if number}
        if found:
            return _only_one_of(found)
    return None


def _only_one_of(found: set[float]) -> float | None:
    if len(found) > 1:
        return None
    [grade] = found
    return grade if LOWEST <= grade <= HIGHEST else None
