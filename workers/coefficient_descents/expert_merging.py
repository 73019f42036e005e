"""Expert Merging: coefficients with which the merge does on each expert's prompts what that expert does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from workers.coefficient_descents._base import (
    CoefficientDescent,
    DescentOptions,
    leading_values,
    run_backward,
    with_leading,
)
from workers.inference_engines import TokenizedPair
from workers.inference_engines.batching import length_sorted_batches
from workers.inference_engines.transformers_engine import TransformersEngine, token_weights, widened
from workers.live_candidate import LiveCandidate


@dataclass(frozen=True, slots=True)
class AlignmentLoss:
    """What is aligned, and how much each part counts.

    Args:
        hidden: of the squared differences of hidden states, the mean over a layer's numbers.
        logits: of the divergence of predictions.
        temperature: T of the divergence.
        gamma: of the mean distance from the first coefficients.
        layers: whose hidden states; None takes all.
    """

    hidden: float = 1.0
    logits: float = 1.0
    temperature: float = 1.0
    gamma: float = 0.8
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Taught:
    """A batch of one expert's prompts, with what that expert makes of them."""

    pairs: list[TokenizedPair]
    share: float
    log_p: Tensor
    hidden_states: tuple[Tensor, ...]


class ExpertMerging(CoefficientDescent):
    """min over w of Σ_k (L_hid + L_logit) + gamma · mean |w_k^l - w̄_k|, by AdamW.

    Zhang et al. 2025, Expert Merging, arXiv:2509.25712 (alpha there): L_hid is the squared distance of hidden states
    from those of expert k on its own prompts, L_logit = T² KL(p_k ‖ p) of the predictions, w̄ the first coefficients.
    Their coefficients go through a sigmoid, and are of matrices in layers alone; here they are bounded, and of the
    recipe's groups. Weight decay is 0: the distance from w̄ has its place.

    Args:
        engine: over the candidate's model.
        candidate: overwritten.
        prompts: expert → 5 to 10 pairs; predictions count where those of `AdaMerging` do.
        options: how to go.
        loss: what is aligned.

    Raises:
        SpecificationError: an expert has no prompts.
    """

    def __init__(
        self,
        engine: TransformersEngine,
        candidate: LiveCandidate,
        prompts: Mapping[str, Sequence[TokenizedPair]],
        options: DescentOptions | None = None,
        loss: AlignmentLoss | None = None,
    ) -> None:
        super().__init__(engine, candidate, options)
        for expert, pairs in prompts.items():
            if not pairs:
                raise SpecificationError(f"Expert Merging needs prompts of every expert, but '{expert}' has none.")
        self.prompts, self.loss = prompts, loss or AlignmentLoss()
        self._taught: list[_Taught] = []

    @property
    def pairs(self) -> Sequence[TokenizedPair]:
        """See `CoefficientDescent.pairs`."""
        return [pair for pairs in self.prompts.values() for pair in pairs]

    def prepare(self, start: MergeRecipe) -> int:
        """Ask every expert once."""
        if tuple(self.prompts) != tuple(start.experts):
            raise SpecificationError(
                f"Prompts must be those of {', '.join(start.experts)}, but are of {', '.join(self.prompts)}."
            )
        self._taught = []
        for expert, pairs in self.prompts.items():
            alone = {place: float(place[0] == expert) for place in leading_values(start)}
            self.candidate.make(with_leading(start, alone))
            for batch in length_sorted_batches([len(pair) for pair in pairs], self.engine.max_backward_tokens):
                self._taught.append(self._teach([pairs[i] for i in batch], len(batch) / len(pairs)))
        return sum(map(len, self.pairs))

    @torch.no_grad()
    def _teach(self, pairs: list[TokenizedPair], share: float) -> _Taught:
        run = self.engine.forward(pairs, hidden_states=True)
        log_p = (widened(run.logits) / self.loss.temperature).log_softmax(-1)
        return _Taught(pairs, share, log_p, self._chosen(run.hidden_states))

    def _chosen(self, hidden_states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        of_layers = hidden_states[1:]  # the first are the embeddings
        return of_layers if self.loss.layers is None else tuple(of_layers[layer] for layer in self.loss.layers)

    def backward(self) -> float:
        """See `CoefficientDescent.backward`."""
        return sum(run_backward(self._distance(taught) * taught.share) for taught in self._taught)

    def _distance(self, taught: _Taught) -> Tensor:
        """Of one batch from its expert: the mean over its pairs."""
        run = self.engine.forward(taught.pairs, hidden_states=True)
        log_p = (widened(run.logits) / self.loss.temperature).log_softmax(-1)
        divergence = (taught.log_p.exp() * (taught.log_p - log_p)).sum(-1)
        shares = token_weights(taught.pairs, [1 / len(taught.pairs)] * len(taught.pairs), run.targets)
        distance = self.loss.logits * self.loss.temperature**2 * (divergence * shares.to(divergence)).sum()
        for mine, theirs in zip(self._chosen(run.hidden_states), taught.hidden_states, strict=True):
            distance = distance + self.loss.hidden * _squared_distance(mine, theirs, taught.pairs)
        return distance

    def penalty(self, weights: Tensor, start: Tensor) -> Tensor:
        """See `CoefficientDescent.penalty`."""
        return self.loss.gamma * (weights - start).abs().mean()

    def optimizer(self, weights: Tensor) -> Optimizer:
        """See `CoefficientDescent.optimizer`."""
        return torch.optim.AdamW([weights], lr=self.options.learning_rate, weight_decay=0.0)


def _squared_distance(mine: Tensor, theirs: Tensor, pairs: Sequence[TokenizedPair]) -> Tensor:
    """The mean over the numbers of each pair's tokens, and over the pairs; padding is left out."""
    lengths = [slice(0, len(pair)) for pair in pairs]
    found = [
        (widened(m[part]) - widened(t[part])).square().mean() for m, t, part in zip(mine, theirs, lengths, strict=True)
    ]
    return torch.stack(found).mean()
