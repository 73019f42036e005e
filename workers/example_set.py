"""Sets of examples: JSONL in, checked line by line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import ExampleSetError

SPLITS = ("search", "holdout")
_TEXTS = ("prompt", "answer", "rejected")
_ABSENT = ("", (), None)


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a set.

    Args:
        prompt: what the user says.
        answer: what the model should say.
        rejected: what the model must not say; "" where none is given.
        split: `search` (the search sees it) or `holdout` (only the final verdict does).
        choices: answers to choose from; none where there is no choice.
        label: the position of the right one among `choices`.
    """

    prompt: str
    answer: str = ""
    rejected: str = ""
    split: str = "search"
    choices: tuple[str, ...] = ()
    label: int | None = None


def read_examples(path: str | Path) -> tuple[Example, ...]:
    """Read a set.

    Args:
        path: a JSONL file; each line an object with `prompt` and what its scorer needs. Keys
            beyond those of `Example` are the user's own and are passed over.

    Raises:
        ExampleSetError: a missing or empty file, or a malformed line, with file and line number.
    """
    path = Path(path)
    try:
        # Not `splitlines`: JSON strings may hold U+2028 and other characters that it takes for line ends.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExampleSetError(f"A set must be a readable JSONL file, but '{path}' is not: {error}") from None
    examples = tuple(
        _parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()
    )
    if not examples:
        raise ExampleSetError(f"A set must hold at least one example, but '{path}' is empty.")
    return examples


def of_split(examples: Iterable[Example], split: str) -> tuple[Example, ...]:
    """The examples of one split."""
    return tuple(example for example in examples if example.split == split)


def check_split(examples: Iterable[Example], path: str | Path) -> None:
    """Refuse a set in which a prompt of the search is also held out: its verdict would be of what was searched.

    Raises:
        ExampleSetError: with the first such prompt and how many there are.
    """
    prompts: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for example in examples:
        prompts[example.split][" ".join(example.prompt.casefold().split())] = example.prompt
    both = [prompt for text, prompt in prompts["search"].items() if text in prompts["holdout"]]
    if both:
        raise ExampleSetError(
            f"No prompt may be in `search` and in `holdout`, but '{path}' has {len(both)} in both, "
            f"such as {both[0]!r}. Remove one of each."
        )


def check_fields(examples: Iterable[Example], fields: Iterable[str], path: str | Path, scorer: str) -> None:
    """Refuse a set that lacks what its scorer reads.

    Raises:
        ExampleSetError: naming the field and how many examples lack it.
    """
    missing = Counter(field for example in examples for field in fields if getattr(example, field) in _ABSENT)
    for field, count in missing.items():
        raise ExampleSetError(
            f"The scorer '{scorer}' needs `{field}` in every example, but '{path}' lacks it in {count}. "
            "Add it, or choose another scorer."
        )


def _parse(line: str, place: str) -> Example:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise ExampleSetError(f"Every line of a set must be JSON, but {place} is not: {error}") from None
    if not isinstance(row, dict) or not row.get("prompt"):
        raise ExampleSetError(f"Every line of a set must be an object with a `prompt`, but {place} has none.")
    fields = {name: row[name] for name in _TEXTS if row.get(name) is not None}
    for name, value in fields.items():
        if not isinstance(value, str):
            raise ExampleSetError(f"`{name}` must be text, but {place} gives {type(value).__name__}.")
    split = row.get("split", "search")
    if split not in SPLITS:
        raise ExampleSetError(f"`split` must be one of {', '.join(SPLITS)}, but {place} gives {split!r}.")
    return Example(**fields, split=split, **_choices(row, place))


def _choices(row: dict[str, Any], place: str) -> dict[str, Any]:
    choices, label = row.get("choices"), row.get("label")
    if choices is None:
        return {}
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c for c in choices):
        raise ExampleSetError(f"`choices` must be a list of at least two texts, but {place} gives {choices!r}.")
    if isinstance(label, str) and label in choices:
        label = choices.index(label)
    # A bool is an int to Python.
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(choices):
        raise ExampleSetError(
            f"`label` must be one of the `choices` or its position, 0 to {len(choices) - 1}, "
            f"but {place} gives {label!r}."
        )
    return {"choices": tuple(choices), "label": label}
