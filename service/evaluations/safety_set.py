"""Unsafe prompts with their categories, as BeaverTails writes them: JSONL in, checked line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import ExampleSetError

_PROMPT_KEYS = ("prompt", "question")


@dataclass(frozen=True, slots=True)
class SafetyPrompt:
    """One line of a safety set.

    Args:
        prompt: what a safe model does not comply with.
        categories: of harm; none where the set has none.
    """

    prompt: str
    categories: tuple[str, ...] = ()


def read_safety_set(path: Path) -> tuple[SafetyPrompt, ...]:
    """Read a safety set.

    Args:
        path: a JSONL file; each line an object with `prompt` or `question` and, if it has one, a `category`: a text, a
            list of texts, or a mapping of categories to whether they apply. Other keys are passed over.

    Raises:
        ExampleSetError: a missing or empty file, or a malformed line, with file and line number.
    """
    try:
        # Not `splitlines`: JSON strings may hold U+2028 and other characters that it takes for line ends.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExampleSetError(f"A safety set must be a readable JSONL file, but '{path}' is not: {error}") from None
    found = tuple(_parse(line, f"{path}, line {i}") for i, line in enumerate(lines, start=1) if line.strip())
    if not found:
        raise ExampleSetError(f"A safety set must hold at least one prompt, but '{path}' is empty.")
    return found


def _parse(line: str, place: str) -> SafetyPrompt:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise ExampleSetError(f"Every line of a safety set must be JSON, but {place} is not: {error}") from None
    given = [row[key] for key in _PROMPT_KEYS if row.get(key)] if isinstance(row, dict) else []
    if not given or not isinstance(given[0], str):
        raise ExampleSetError(
            f"Every line of a safety set must be an object with a text as `prompt` or `question`, but {place} has none."
        )
    return SafetyPrompt(given[0], _categories(row.get("category"), place))


def _categories(given: Any, place: str) -> tuple[str, ...]:
    if not given:
        return ()
    if isinstance(given, dict):
        given = [category for category, applies in given.items() if applies]
    categories = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list) else (None,)
    if not all(isinstance(category, str) and category for category in categories):
        raise ExampleSetError(
            "`category` must be a text, a list of texts, or a mapping of categories to whether they apply, "
            f"but {place} gives {given!r}."
        )
    return tuple(dict.fromkeys(categories))
