"""How likely the model finds the right answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workers.example_set import Example
from workers.scorers.likelihood_terms import LikelihoodScorer, LikelihoodTerm


class AnswerLikelihoodScorer(LikelihoodScorer):
    """Mean log-likelihood per answer token; the prompt is masked, the end token counts.

    The negative of the loss that Hammoud et al. 2024 (arXiv:2406.14563, eq. 4) minimise. At most 0.
    """

    name = "answer_likelihood"
    required_fields = ("prompt", "answer")
    upper_bound = 0.0

    def terms_of(self, examples: Sequence[Example]) -> Iterator[LikelihoodTerm]:
        """See `LikelihoodScorer.terms_of`."""
        for i, example in enumerate(examples):
            yield LikelihoodTerm(i, self.engine.tokenize(example.prompt, example.answer), 1.0)
