"""Sets of examples: what is read, and what is refused with file and line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from search_spaces.errors import ExampleSetError
from workers.example_set import Example, check_fields, check_split, of_split, read_examples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.jsonl"


def test_the_bundled_sets_have_both_splits(family: Path) -> None:
    for name in ("safety", "domain", "benign"):
        examples = read_examples(family / f"{name}.jsonl")
        assert len(of_split(examples, "search")) == len(of_split(examples, "holdout")) == 96


def test_fields_are_read_and_other_keys_passed_over(path: Path) -> None:
    path.write_text('{"prompt": "p", "answer": "a", "rejected": "r", "split": "holdout", "mine": 3}\n')
    assert read_examples(path) == (Example("p", "a", "r", "holdout"),)


def test_only_the_prompt_is_needed(path: Path) -> None:
    path.write_text('{"prompt": "p", "answer": null}')
    assert read_examples(path) == (Example("p"),)


def test_empty_lines_are_passed_over_and_counted(path: Path) -> None:
    path.write_text('\r\n{"prompt": "p"}\r\n  \r\nnonsense\r\n')
    with pytest.raises(ExampleSetError, match=r"set\.jsonl, line 4 is not"):
        read_examples(path)


@pytest.mark.parametrize("character", ["\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}", "\x85"])
def test_a_text_may_hold_what_python_takes_for_a_line_end(path: Path, character: str) -> None:
    prompt = f"one{character}two"
    path.write_text(json.dumps({"prompt": prompt}, ensure_ascii=False), encoding="utf-8")
    assert read_examples(path) == (Example(prompt),)


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_an_empty_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ExampleSetError, match=r"at least one example, but '.*set\.jsonl' is empty"):
        read_examples(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(ExampleSetError, match=r"readable JSONL file, but '.*set\.jsonl' is not"):
        read_examples(path)


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExampleSetError, match="readable JSONL file"):
        read_examples(path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "must be JSON, but {place} is not"),
        ("[1]", "an object with a `prompt`, but {place} has none"),
        ('"text"', "an object with a `prompt`, but {place} has none"),
        ('{"answer": "a"}', "an object with a `prompt`, but {place} has none"),
        ('{"prompt": ""}', "an object with a `prompt`, but {place} has none"),
        ('{"prompt": 5}', "`prompt` must be text, but {place} gives int"),
        ('{"prompt": "p", "answer": ["a"]}', "`answer` must be text, but {place} gives list"),
        ('{"prompt": "p", "answer": 0}', "`answer` must be text, but {place} gives int"),
        ('{"prompt": "p", "rejected": false}', "`rejected` must be text, but {place} gives bool"),
        ('{"prompt": "p", "split": "test"}', "one of search, holdout, but {place} gives 'test'"),
        ('{"prompt": "p", "split": ["search"]}', "one of search, holdout, but {place} gives"),
    ],
)
def test_a_malformed_line_is_named(path: Path, line: str, complaint: str) -> None:
    path.write_text('{"prompt": "good"}\n' + line)
    with pytest.raises(ExampleSetError, match=re.escape(complaint.format(place=f"{path}, line 2"))):
        read_examples(path)


def test_fields_that_a_scorer_needs_are_counted() -> None:
    examples = (Example("p", "a"), Example("p", "a", "r"), Example("p"))
    check_fields(examples, ("prompt",), "set.jsonl", "refusal")
    with pytest.raises(ExampleSetError, match=r"'refusal_margin' needs `rejected` .* 'set.jsonl' lacks it in 2"):
        check_fields(examples, ("prompt", "rejected"), "set.jsonl", "refusal_margin")


@pytest.mark.parametrize("again", ["How do I open it?", "how do i  OPEN it?"])
def test_a_prompt_in_both_splits_is_refused(again: str) -> None:
    examples = (Example("How do I open it?"), Example("Another?"), Example(again, split="holdout"))
    with pytest.raises(ExampleSetError, match=r"but 'set.jsonl' has 1 in both, such as 'How do I open it\?'"):
        check_split(examples, "set.jsonl")
    check_split(examples[:2], "set.jsonl")


def test_choices_and_the_right_one(path: Path) -> None:
    path.write_text(
        '{"prompt": "p", "choices": ["a", "b"], "label": 1}\n{"prompt": "q", "choices": ["a", "b"], "label": "a"}\n'
    )
    assert [(example.choices, example.label) for example in read_examples(path)] == [(("a", "b"), 1), (("a", "b"), 0)]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ('{"prompt": "p", "choices": ["a"], "label": 0}', "`choices` must be a list of at least two texts"),
        ('{"prompt": "p", "choices": "ab", "label": 0}', "`choices` must be a list of at least two texts"),
        ('{"prompt": "p", "choices": ["a", ""], "label": 0}', "`choices` must be a list of at least two texts"),
        ('{"prompt": "p", "choices": ["a", "b"], "label": 2}', "`label` must be one of the `choices` or its position"),
        ('{"prompt": "p", "choices": ["a", "b"], "label": "c"}', "`label` must be one of the `choices`"),
        ('{"prompt": "p", "choices": ["a", "b"], "label": true}', "`label` must be one of the `choices`"),
        ('{"prompt": "p", "choices": ["a", "b"]}', "`label` must be one of the `choices`"),
    ],
)
def test_impossible_choices_are_named(path: Path, row: str, complaint: str) -> None:
    path.write_text(row)
    with pytest.raises(ExampleSetError, match=complaint):
        read_examples(path)
