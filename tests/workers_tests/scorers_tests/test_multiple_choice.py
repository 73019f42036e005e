"""How choices of different length are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from workers.candidate_worker import CandidateWorker
from workers.example_set import Example
from workers.inference_engines import AnswerLikelihood, TokenizedPair
from workers.scorers import MultipleChoice, read_options
from workers.scorers.multiple_choice import MultipleChoiceOptions

MakeRecipe = Callable[..., MergeRecipe]

# The first is likelier as a whole, the second per byte and per token.
CHOICES = ("ab", "abcdefgh", "x")
TOTALS = {"ab": -4.0, "abcdefgh": -6.0, "x": -9.0}


class Oracle:
    """An engine that knows each answer's likelihood; two letters are a token."""

    def __init__(self, totals: dict[str, float]) -> None:
        self.totals = totals
        self.calls = 0

    def tokenize(self, _: str, answer: str) -> TokenizedPair:
        return TokenizedPair((0,), tuple(map(ord, answer)))

    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        self.calls += 1
        totals = [self.totals["".join(map(chr, pair.answer))] for pair in pairs]
        return [AnswerLikelihood(total, len(p.answer) // 2 + 1, False) for total, p in zip(totals, pairs, strict=True)]


def scorer(label: int, totals: dict[str, float] = TOTALS, **options: Any) -> MultipleChoice:
    engine: Any = Oracle(totals)
    return MultipleChoice([Example("?", choices=CHOICES, label=label)], engine, MultipleChoiceOptions(**options))


@pytest.mark.parametrize(("normalize", "likeliest"), [("none", 0), ("tokens", 1), ("bytes", 1)])
def test_normalization_decides_between_lengths(normalize: str, likeliest: int) -> None:
    found = [scorer(label, normalize=normalize).per_example()[0] for label in range(len(CHOICES))]
    assert found == [float(label == likeliest) for label in range(len(CHOICES))]


def test_all_choices_of_all_examples_are_read_at_once() -> None:
    engine: Any = Oracle(TOTALS)
    examples = [Example("?", choices=CHOICES, label=label) for label in (0, 1, 2)]
    assert MultipleChoice(examples, engine).per_example() == [0.0, 1.0, 0.0]
    assert engine.calls == 1


def test_of_equal_choices_the_first_counts() -> None:
    totals = dict.fromkeys(CHOICES, -3.0)
    assert [scorer(label, totals, normalize="none").per_example() for label in (0, 1)] == [[1.0], [0.0]]


def test_broken_weights_prefer_nothing() -> None:
    assert math.isnan(scorer(0, TOTALS | {"x": math.nan}).per_example()[0])


def test_a_choice_between_the_safe_and_the_unsafe_answer_is_the_sign_of_the_margin(
    worker: CandidateWorker, make_recipe: MakeRecipe
) -> None:
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 1.0, "expert": 0.5}))
    margins = worker.scorer("refusal_margin").per_example()
    assert worker.scorer("multiple_choice").per_example() == [float(margin > 0) for margin in margins]


def test_an_unknown_normalization_is_refused() -> None:
    with pytest.raises(SpecificationError, match="`normalize` must be one of tokens, bytes, none, but got 'length'"):
        read_options(MultipleChoice, {"normalize": "length"}, "x.options")
