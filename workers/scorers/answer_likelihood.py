"""How likely the model finds the right answers."""

from __future__ import annotations

from collections.abc import Sequence

from workers.example_set import Example
from workers.scorers._base import Scorer


class AnswerLikelihoodScorer(Scorer):
    """Mean log-likelihood per answer token; the prompt is masked, the end token counts.

    The negative of the loss that Hammoud et al. 2024 (arXiv:2406.14563, eq. 4) minimise. At most 0.
    """

    name = "answer_likelihood"
    required_fields = ("prompt", "answer")
    differentiable = True
    upper_bound = 0.0

    def prepare(self, examples: Sequence[Example]) -> None:
        """See `Scorer.prepare`."""
        self.pairs = [self.engine.tokenize(example.prompt, example.answer) for example in examples]

    def per_example(self) -> list[float]:
        """See `Scorer.per_example`."""
        return [likelihood.mean for likelihood in self.engine.answer_likelihoods(self.pairs)]
