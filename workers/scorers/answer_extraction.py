"""The final answer in a worked solution, and whether two answers are the same; pure, without a model."""

from __future__ import annotations

import re
from decimal import Decimal

EXTRACTIONS = ("none", "last_number", "boxed", "regex")

# 1,000 in groups of three, or plain digits; a fraction; an exponent that Decimal can hold, unless a word goes on.
_DIGITS = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4}(?!\w))?"
# After a digit, a letter or a bracket a minus subtracts: the last number of 5-3 is 3.
_SIGN = r"(?:(?<![\w.)\]])[-+])?"
_NUMBER = re.compile(rf"{_SIGN}\$?{_DIGITS}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def extract_answer(text: str, kind: str, pattern: str = "") -> str | None:
    r"""The answer in which a text concludes: always the last that fits, as reasoning comes before its result.

    Args:
        text: what a model wrote, or a worked solution.
        kind: `none` takes the text as it stands; `last_number` the last number, thousands separators included;
            `boxed` what is inside the last whole `\boxed{}` or `\fbox{}`, nested braces included; `regex` the one
            group of `pattern` where it matches last.
        pattern: for `regex`.

    Returns:
        None where nothing fits.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "none":
        return text.strip()
    if kind == "last_number":
        # Typeset minus signs are meant as such.
        numbers = _NUMBER.findall(text.replace("\N{MINUS SIGN}", "-"))
        return numbers[-1].replace("$", "") if numbers else None
    if kind == "boxed":
        return _last_boxed(text)
    if kind == "regex":
        found = [match[1] for match in re.finditer(pattern, text) if match[1] is not None]
        return found[-1].strip() if found else None
    raise ValueError(f"`kind` must be one of {', '.join(EXTRACTIONS)}, but got {kind!r}.")


def same_answer(a: str, b: str, *, ignore_case: bool = False) -> bool:
    """Whether two extracted answers say the same; an equivalence.

    Numbers are compared as numbers, exactly: 1,000 is 1000.0. Dollar signs around an answer, a trailing period and the
    amount of white space do not count. Formulas are compared as texts: 1/2 is not 0.5.
    """
    bare = [_bare(answer) for answer in (a, b)]
    numbers = [_number(answer) for answer in bare]
    if None not in numbers:
        return numbers[0] == numbers[1]
    first, second = (answer.casefold() for answer in bare) if ignore_case else bare
    return first == second


def _last_boxed(text: str) -> str | None:
    """Backwards, as the last box may have been cut off."""
    for start in reversed([match.end() for match in _BOX.finditer(text)]):
        end = _closing_brace(text, start)
        if end is not None:
            return text[start:end].strip()
    return None


def _closing_brace(text: str, start: int) -> int | None:
    """Where the brace closes that was opened just before `start`; escaped ones are characters."""
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return start + brace.start()
    return None


def _bare(answer: str) -> str:
    """Until nothing is left to strip, so that stripping twice is stripping once."""
    text = " ".join(answer.split())
    while (shorter := text.removesuffix(".").strip("$ ")) != text:
        text = shorter
    return text


def _number(text: str) -> Decimal | None:
    text = text.replace("\N{MINUS SIGN}", "-")
    # Decimal alone would also read `nan` and digits of other scripts.
    return Decimal(re.sub(r"[$,]", "", text)) if _NUMBER.fullmatch(text) else None
