"""Whether the model finds the right answer the likeliest of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import SpecificationError
from workers.example_set import Example
from workers.inference_engines import AnswerLikelihood
from workers.scorers._base import Scorer, ScorerOptions

NORMALIZATIONS = ("tokens", "bytes", "none")


@dataclass(frozen=True)
class MultipleChoiceOptions(ScorerOptions):
    """How choices of different length are compared.

    Args:
        normalize: `tokens` divides a choice's log-likelihood by its tokens, `bytes` by its UTF-8 bytes, `none` by
            nothing, which favours short choices.
    """

    normalize: str = "tokens"

    def __post_init__(self) -> None:
        if self.normalize not in NORMALIZATIONS:
            raise SpecificationError(
                f"`normalize` must be one of {', '.join(NORMALIZATIONS)}, but got {self.normalize!r}."
            )


class MultipleChoice(Scorer):
    """Accuracy: the share of examples whose right choice the model finds the likeliest; of equals the first counts.

    lm-evaluation-harness's `acc` is `normalize: none`, its `acc_bytes` is `bytes`, and its `acc_norm`, which divides by
    characters, is `bytes` for ASCII text. They differ from it in two ways: the prompt goes through the chat template,
    and the end token counts, so that a choice which only begins a longer answer is not favoured.
    """

    name = "multiple_choice"
    required_fields = ("prompt", "choices", "label")
    options_type = MultipleChoiceOptions

    def prepare(self, examples: Sequence[Example]) -> None:
        """See `Scorer.prepare`."""
        self.examples = examples
        self.pairs = [
            self.engine.tokenize(example.prompt, choice) for example in examples for choice in example.choices
        ]

    def per_example(self) -> list[float]:
        """See `Scorer.per_example`."""
        likelihoods = iter(self.engine.answer_likelihoods(self.pairs))
        found = []
        for example in self.examples:
            scores = [self._normalized(choice, next(likelihoods)) for choice in example.choices]
            found.append(_accuracy(scores, example.label))
        return found

    def _normalized(self, choice: str, likelihood: AnswerLikelihood) -> float:
        if self.options.normalize == "tokens":
            return likelihood.mean
        return likelihood.total / (len(choice.encode()) if self.options.normalize == "bytes" else 1)


def _accuracy(scores: list[float], label: int | None) -> float:
    # A model of broken weights has no likeliest choice: NaN makes its candidate a failure.
    return float(scores.index(max(scores)) == label) if all(map(math.isfinite, scores)) else math.nan
