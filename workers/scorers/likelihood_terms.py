"""What scorers of likelihoods share: a score is a weighted sum of log-likelihoods, and so has a gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from workers.example_set import Example
from workers.inference_engines import AnswerLikelihood, TokenizedPair
from workers.scorers._base import Scorer


@dataclass(frozen=True, slots=True)
class LikelihoodTerm:
    """One summand of one example's score.

    Args:
        example: its index in the set.
        pair: whose log-likelihood per token counts.
        weight: how much it counts.
    """

    example: int
    pair: TokenizedPair
    weight: float


class LikelihoodScorer(Scorer):
    """An example's score is Σ weight · log-likelihood per token over the terms of it."""

    differentiable = True

    def prepare(self, examples: Sequence[Example]) -> None:
        """See `Scorer.prepare`."""
        self.n_examples = len(examples)
        self.terms = tuple(self.terms_of(examples))

    @abstractmethod
    def terms_of(self, examples: Sequence[Example]) -> Iterable[LikelihoodTerm]:
        """The terms of a set."""

    def per_example(self) -> list[float]:
        """See `Scorer.per_example`."""
        return self._sums(self.terms, self.engine.answer_likelihoods([term.pair for term in self.terms]))

    def per_example_backward(self, chosen: Collection[int]) -> list[float]:
        """The same from one forward pass, and a backward pass of the sum of the scores of some examples.

        Args:
            chosen: indices of those in the set.

        Raises:
            SpecificationError: the engine has no gradients.
        """
        backward = [term for term in self.terms if term.example in chosen]
        others = [term for term in self.terms if term.example not in chosen]
        found = self.engine.backward_likelihoods([t.pair for t in backward], [t.weight for t in backward])
        found += self.engine.answer_likelihoods([term.pair for term in others]) if others else []
        return self._sums([*backward, *others], found)

    def _sums(self, terms: Sequence[LikelihoodTerm], likelihoods: Sequence[AnswerLikelihood]) -> list[float]:
        sums = [0.0] * self.n_examples
        for term, likelihood in zip(terms, likelihoods, strict=True):
            sums[term.example] += term.weight * likelihood.mean
        return sums
