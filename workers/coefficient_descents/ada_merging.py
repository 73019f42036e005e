"""AdaMerging: coefficients that make the merge sure of itself on prompts without answers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.coefficient_descents._base import CoefficientDescent, DescentOptions, run_backward
from workers.inference_engines import TokenizedPair
from workers.inference_engines.batching import length_sorted_batches
from workers.inference_engines.transformers_engine import TransformersEngine, token_weights, widened
from workers.live_candidate import LiveCandidate


class AdaMerging(CoefficientDescent):
    """min over λ of Σ H(p(y | x; θ_base + Σ λ_k^l τ_k^l)), by Adam.

    Yang et al. 2024, AdaMerging, arXiv:2310.02575, eqs. 6 and 7: the entropy of predictions on unlabelled inputs. They
    classify; here the prediction is that of the next token, after a prompt or at every token of an answer, with equal
    weight for each pair.

    Args:
        engine: over the candidate's model.
        candidate: overwritten.
        pairs: whose predictions count; `prompt_only` makes one of a prompt alone.
        options: how to go; the paper begins at λ = 0.3 everywhere.
    """

    def __init__(
        self,
        engine: TransformersEngine,
        candidate: LiveCandidate,
        pairs: Sequence[TokenizedPair],
        options: DescentOptions | None = None,
    ) -> None:
        super().__init__(engine, candidate, options)
        self._pairs = tuple(pairs)

    @property
    def pairs(self) -> Sequence[TokenizedPair]:
        """See `CoefficientDescent.pairs`."""
        return self._pairs

    def backward(self) -> float:
        """See `CoefficientDescent.backward`."""
        total = 0.0
        for batch in length_sorted_batches([len(pair) for pair in self.pairs], self.engine.max_backward_tokens):
            chosen = [self.pairs[i] for i in batch]
            run = self.engine.forward(chosen)
            shares = token_weights(chosen, [1 / len(self.pairs)] * len(chosen), run.targets)
            loss = (entropies(run.logits) * shares.to(run.logits.device)).sum()
            total += run_backward(loss)
        return total


def entropies(logits: Tensor) -> Tensor:
    """Of the distributions in the last dimension, in nats."""
    log_p = widened(logits).log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def prompt_only(prompt: tuple[int, ...], end_id: int) -> TokenizedPair:
    """A pair whose only prediction is the one after the prompt: what the answer is does not count."""
    return TokenizedPair(prompt, (end_id,))
