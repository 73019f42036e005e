"""Unsafe prompts as people have them, and what is wrong with a line that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import ExampleSetError
from service.evaluations import SafetyPrompt, read_safety_set


def written(folder: Path, *lines: str) -> Path:
    path = folder / "unsafe.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ({"prompt": "p"}, SafetyPrompt("p")),
        ({"question": "q", "answer": "a", "split": "any"}, SafetyPrompt("q")),
        ({"prompt": "p", "question": "q"}, SafetyPrompt("p")),
        ({"prompt": "p", "category": "theft"}, SafetyPrompt("p", ("theft",))),
        ({"prompt": "p", "category": ["theft", "fraud", "theft"]}, SafetyPrompt("p", ("theft", "fraud"))),
        ({"prompt": "p", "category": {"theft": True, "fraud": False}}, SafetyPrompt("p", ("theft",))),
        ({"prompt": "p", "category": None}, SafetyPrompt("p")),
        ({"prompt": "two\u2028lines"}, SafetyPrompt("two\u2028lines")),
    ],
)
def test_a_line(tmp_path: Path, row: dict[str, Any], read: SafetyPrompt) -> None:
    path = written(tmp_path, json.dumps(row, ensure_ascii=False), "")
    assert read_safety_set(path) == (read,)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "must be JSON, but .*unsafe.jsonl, line 2 is not"),
        ('"p"', "an object with a text as `prompt` or `question`, but .*, line 2 has none"),
        ('{"answer": "a"}', "`prompt` or `question`, but .*, line 2 has none"),
        ('{"prompt": 3}', "`prompt` or `question`, but .*, line 2 has none"),
        ('{"prompt": "p", "category": 3}', "`category` must be a text, a list of texts.*, line 2 gives 3"),
        ('{"prompt": "p", "category": ["a", 3]}', r"`category` must be .*, line 2 gives \['a', 3\]"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ExampleSetError, match=problem):
        read_safety_set(written(tmp_path, '{"prompt": "p"}', line))


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExampleSetError, match=r"must hold at least one prompt, but .*unsafe.jsonl' is empty"):
        read_safety_set(written(tmp_path, "", ""))


def test_a_set_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExampleSetError, match=r"must be a readable JSONL file, but .*nowhere.jsonl"):
        read_safety_set(tmp_path / "nowhere.jsonl")
