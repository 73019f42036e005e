"""Exact match with extraction, and what may be said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from workers.candidate_worker import CandidateWorker
from workers.example_set import Example, read_examples
from workers.inference_engines import GenerationOptions
from workers.scorers import ExactMatch, read_options
from workers.scorers.exact_match import ExactMatchOptions

MakeRecipe = Callable[..., MergeRecipe]


@pytest.fixture(scope="module")
def conversions(family: Path) -> tuple[Example, ...]:
    """Questions such as `31 kg in g?`, whose answer is `31000 g.`."""
    examples = (example for example in read_examples(family / "domain.jsonl") if example.answer.endswith(" g."))
    return tuple(examples)[:16]


@pytest.fixture(autouse=True)
def _half_an_expert(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    """A candidate that knows some answers."""
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 0.0, "expert": 0.6}))


def scores(worker: CandidateWorker, examples: tuple[Example, ...], **options: Any) -> list[float]:
    return ExactMatch(examples, worker.engine, ExactMatchOptions(**{"max_new_tokens": 24, **options})).per_example()


def test_with_an_extraction_of_everything_it_is_what_generation_says(
    worker: CandidateWorker, conversions: tuple[Example, ...]
) -> None:
    without = scores(worker, conversions)
    assert 0 < sum(without) < len(without)
    assert scores(worker, conversions, extract="regex", pattern="^(.*)$") == without


def test_the_last_number_is_compared_with_that_of_the_answer(
    worker: CandidateWorker, conversions: tuple[Example, ...]
) -> None:
    found = scores(worker, conversions, extract="last_number")
    with_commas = [replace(example, answer=_in_words(example.answer)) for example in conversions]
    assert sum(found) >= sum(scores(worker, conversions))
    assert scores(worker, tuple(with_commas), extract="last_number") == found


def test_an_answer_without_a_number_is_wanted_itself(worker: CandidateWorker, conversions: tuple[Example, ...]) -> None:
    unlike = tuple(replace(example, answer="none at all") for example in conversions)
    assert set(scores(worker, unlike, extract="last_number")) == {0.0}


def test_nothing_extracted_is_wrong(worker: CandidateWorker, conversions: tuple[Example, ...]) -> None:
    assert set(scores(worker, conversions, extract="boxed")) == {0.0}


def test_case_can_be_ignored(worker: CandidateWorker, conversions: tuple[Example, ...]) -> None:
    shouted = tuple(replace(example, answer=example.answer.upper()) for example in conversions)
    options = {"extract": "regex", "pattern": "^(.*)$"}
    assert set(scores(worker, shouted, **options)) == {0.0}
    assert scores(worker, shouted, **options, ignore_case=True) == scores(worker, conversions)


def test_without_extraction_nothing_is_generated(
    worker: CandidateWorker, conversions: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(*_: object) -> list[str]:
        raise AssertionError("nothing is to be generated")

    scorer = ExactMatch(conversions, worker.engine)
    written = worker.engine.generate([example.prompt for example in conversions], GenerationOptions(24))
    monkeypatch.setattr(worker.engine, "generate", generate)
    wanted = [float(text == example.answer) for text, example in zip(written, conversions, strict=True)]
    assert scorer.per_example() == wanted


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"extract": "number"}, "`extract` must be one of none, last_number, boxed, regex, but got 'number'"),
        ({"extract": "regex"}, "`pattern` must be given where `extract` is `regex`"),
        ({"pattern": "(a)"}, "`pattern` must be given where `extract` is `regex`, and only there"),
        ({"extract": "regex", "pattern": "("}, "`pattern` must be a regular expression"),
        ({"extract": "regex", "pattern": "(a{99999999999})"}, "`pattern` must be a regular expression"),
        ({"extract": "regex", "pattern": "(" * 5000}, "`pattern` must be a regular expression"),
        ({"extract": "regex", "pattern": "(a)(B)"}, "`pattern` must have one group.*'\\(a\\)\\(B\\)' has 2"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be at least 1, but got 0"),
        ({"max_new_tokens": "many"}, "`x.options.max_new_tokens` of the scorer 'exact_match'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecificationError, match=problem):
        read_options(ExactMatch, options, "x.options")


def _in_words(answer: str) -> str:
    return f"After 3 steps that is ${int(answer.removesuffix(' g.')):,}.0"
