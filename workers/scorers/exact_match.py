"""Whether greedy decoding writes the right answer: exactly, or in what it concludes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import SpecificationError
from workers.example_set import Example
from workers.inference_engines import AnswerLikelihood, GenerationOptions
from workers.scorers._base import Scorer, ScorerOptions
from workers.scorers.answer_extraction import EXTRACTIONS, extract_answer, same_answer


@dataclass(frozen=True)
class ExactMatchOptions(ScorerOptions):
    """What is compared.

    Args:
        extract: `none` compares whole answers token by token; `last_number`, `boxed` and `regex` compare what
            `extract_answer` finds in the model's answer and in the example's.
        pattern: for `regex`: a regular expression with one group.
        max_new_tokens: of an answer from which is extracted; the others are not generated.
        ignore_case: of extracted texts.
    """

    extract: str = "none"
    pattern: str = ""
    max_new_tokens: int = 256
    ignore_case: bool = False

    def __post_init__(self) -> None:
        if self.extract not in EXTRACTIONS:
            raise SpecificationError(f"`extract` must be one of {', '.join(EXTRACTIONS)}, but got {self.extract!r}.")
        if bool(self.pattern) != (self.extract == "regex"):
            raise SpecificationError(
                "`pattern` must be given where `extract` is `regex`, and only there, "
                f"but got {self.pattern!r} and `extract` is `{self.extract}`."
            )
        if self.max_new_tokens < 1:
            raise SpecificationError(f"`max_new_tokens` must be at least 1, but got {self.max_new_tokens}.")
        _check_pattern(self.pattern)


class ExactMatch(Scorer):
    """Share of right answers under greedy decoding. From 0 to 1.

    Without extraction an answer is right if greedy decoding reproduces it token by token, end token included. No text
    is generated then: greedy decoding writes an answer if and only if every one of its tokens is the arg max given
    those before it, and one teacher-forced pass tells that.

    With extraction the model writes its answer, and what is extracted from it must be what is extracted from the
    example's; where nothing can be extracted from the example's answer, that is what is wanted itself.
    """

    name = "exact_match"
    required_fields = ("prompt", "answer")
    options_type = ExactMatchOptions

    def prepare(self, examples: Sequence[Example]) -> None:
        """See `Scorer.prepare`."""
        if self.options.extract == "none":
            self.pairs = [self.engine.tokenize(example.prompt, example.answer) for example in examples]
            return
        self.prompts = [example.prompt for example in examples]
        self.wanted = [self._extracted(example.answer) or example.answer for example in examples]

    def per_example(self) -> list[float]:
        """See `Scorer.per_example`."""
        if self.options.extract == "none":
            return [_matched(likelihood) for likelihood in self.engine.answer_likelihoods(self.pairs)]
        written = self.engine.generate(self.prompts, GenerationOptions(max_new_tokens=self.options.max_new_tokens))
        return [float(self._is_right(text, wanted)) for text, wanted in zip(written, self.wanted, strict=True)]

    def _is_right(self, text: str, wanted: str) -> bool:
        found = self._extracted(text)
        return found is not None and same_answer(found, wanted, ignore_case=self.options.ignore_case)

    def _extracted(self, text: str) -> str | None:
        return extract_answer(text, self.options.extract, self.options.pattern)


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:  # of numbers and brackets beyond what it takes
        raise SpecificationError(f"`pattern` must be a regular expression, but {pattern!r} is none: {error}.") from None
    if pattern and groups != 1:
        raise SpecificationError(
            f"`pattern` must have one group, which holds the answer, but {pattern!r} has {groups}. "
            "Write (?:...) for groups that hold no answer."
        )


def _matched(likelihood: AnswerLikelihood) -> float:
    # A model of broken weights has no arg max that means anything: NaN makes its candidate a failure.
    return float(likelihood.greedy) if math.isfinite(likelihood.total) else math.nan
