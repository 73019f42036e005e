"""Whether greedy decoding writes exactly the right answer."""

from __future__ import annotations

import math

from workers.inference_engines import AnswerLikelihood
from workers.scorers.answer_likelihood import AnswerLikelihoodScorer


class ExactMatch(AnswerLikelihoodScorer):
    """Share of answers that greedy decoding reproduces token by token, end token included.

    No text is generated: greedy decoding writes an answer if and only if every one of its tokens is the arg max
    given those before it, and one teacher-forced pass tells that. From 0 to 1.
    """

    name = "exact_match"
    differentiable = False

    def per_example(self) -> list[float]:
        """See `Scorer.per_example`."""
        return [_matched(likelihood) for likelihood in self.engine.answer_likelihoods(self.pairs)]


def _matched(likelihood: AnswerLikelihood) -> float:
    # A model of broken weights has no arg max that means anything: NaN makes its candidate a failure.
    return float(likelihood.greedy) if math.isfinite(likelihood.total) else math.nan
