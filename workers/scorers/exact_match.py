"""Whether greedy decoding writes exactly the right answer."""

from __future__ import annotations

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
        return [float(likelihood.greedy) for likelihood in self.engine.answer_likelihoods(self.pairs)]
