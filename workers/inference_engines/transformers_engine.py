"""Inference with Hugging Face transformers, on the live model itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import CandidateError
from workers.inference_engines._base import AnswerLikelihood, InferenceEngine, TokenizedPair
from workers.inference_engines.activation_checkpointing import checkpointed_layers
from workers.inference_engines.batching import length_sorted_batches
from workers.inference_engines.chat_rendering import cut_at, end_ids, end_token
from workers.inference_engines.conversation import GenerationOptions

# Logits are float32 and as wide as the vocabulary: 4096 tokens of 128 k entries are 2 GiB. Only answers' are kept.
MAX_BATCH_TOKENS = 4096
# A backward pass keeps every layer's activations: by what its batches are smaller. A quarter of the tokens took
# 2.5 times a forward pass's memory (135 M parameters, float32).
BACKWARD_SHARE = 8


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """What a batch of pairs gives.

    Args:
        logits: from the first answer of the batch on, `batch x n x vocabulary`.
        targets: the tokens that they predict, `batch x n`; prompts and padding among them.
        hidden_states: the embeddings and what each layer makes of them, `batch x width x hidden` each; only where
            asked for.
    """

    logits: Tensor
    targets: Tensor
    hidden_states: tuple[Tensor, ...] = ()


class TransformersEngine(InferenceEngine):
    """Teacher forcing and greedy decoding in length-sorted batches.

    Likelihoods are computed with right padding and no attention mask: in a causal model nothing after
    an answer can change it. Only the logits that predict answer tokens are computed.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer; without a chat template the prompt is used as it stands.
        max_batch_tokens: upper bound of a batch, padding included; of a backward pass, a `BACKWARD_SHARE`th of it.

    Attributes:
        checkpoint_activations: a backward pass computes activations again instead of keeping them.
    """

    has_gradients = True

    def __init__(self, model: Any, tokenizer: Any, max_batch_tokens: int = MAX_BATCH_TOKENS) -> None:
        self.model = model
        _keep_head_whole(model)
        self.tokenizer = tokenizer
        self.max_batch_tokens = max_batch_tokens
        self.checkpoint_activations = False
        self.device = str(model.device)
        self.max_tokens = int(model.config.max_position_embeddings)
        self.end_id = end_token(model.generation_config, tokenizer)
        # A model may end its answer otherwise than the template does.
        self._end_ids = sorted({self.end_id, *end_ids(model.generation_config)})
        self._pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_id

    @torch.inference_mode()
    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        """See `InferenceEngine.answer_likelihoods`."""
        found: dict[int, AnswerLikelihood] = {}
        for batch in length_sorted_batches([len(pair) for pair in pairs], self.max_batch_tokens):
            found.update(zip(batch, self._score([pairs[i] for i in batch]), strict=True))
        return [found[i] for i in range(len(pairs))]

    def _score(self, pairs: list[TokenizedPair]) -> list[AnswerLikelihood]:
        run = self.forward(pairs)
        return _likelihoods(widened(run.logits), run.targets, pairs)

    def forward(self, pairs: Sequence[TokenizedPair], *, hidden_states: bool = False) -> ForwardPass:
        """One forward pass over a batch, under the caller's mode of autograd."""
        width = max(map(len, pairs))
        # The logit at a position predicts the next token: start one before the first answer.
        kept = width - min(len(pair.prompt) for pair in pairs) + 1
        tokens = torch.tensor([(*p.prompt, *p.answer, *[self._pad_id] * (width - len(p))) for p in pairs])
        tokens = tokens.to(self.model.device)
        options = {"output_hidden_states": True} if hidden_states else {}
        found = self.model(input_ids=tokens, logits_to_keep=kept, use_cache=False, **options)
        hidden = tuple(found.hidden_states) if hidden_states else ()
        return ForwardPass(found.logits[:, -kept:-1], tokens[:, width - kept + 1 :], hidden)

    def backward_likelihoods(self, pairs: Sequence[TokenizedPair], weights: Sequence[float]) -> list[AnswerLikelihood]:
        """See `InferenceEngine.backward_likelihoods`."""
        found: dict[int, AnswerLikelihood] = {}
        with checkpointed_layers(self.model) if self.checkpoint_activations else nullcontext():
            for batch in length_sorted_batches([len(pair) for pair in pairs], self.max_backward_tokens):
                scored = self._backward([pairs[i] for i in batch], [weights[i] for i in batch])
                found.update(zip(batch, scored, strict=True))
        return [found[i] for i in range(len(pairs))]

    @property
    def max_backward_tokens(self) -> int:
        """Upper bound of a batch of a backward pass."""
        return max(1, self.max_batch_tokens // BACKWARD_SHARE)

    def _backward(self, pairs: list[TokenizedPair], weights: list[float]) -> list[AnswerLikelihood]:
        with torch.enable_grad():
            run = self.forward(pairs)
        logits, targets = run.logits, run.targets
        with torch.no_grad():
            # The head's share by hand: autograd would keep several more tensors as wide as the vocabulary.
            wide = widened(logits.detach())
            likelihoods = _likelihoods(wide, targets, pairs)
            shares = token_weights(pairs, weights, targets).to(wide)[:, :, None]
            slopes = torch.softmax(wide, dim=2).mul_(-shares)
            slopes.scatter_add_(2, targets[:, :, None], shares)
            del wide
        # Where no parameter requires a gradient there is nothing to do.
        if logits.requires_grad:
            torch.autograd.backward(logits, slopes.to(logits.dtype))
        return likelihoods

    @torch.inference_mode()
    def complete(self, prompts: Sequence[tuple[int, ...]], options: GenerationOptions) -> list[str]:
        """See `InferenceEngine.complete`."""
        found: dict[int, str] = {}
        # Room for what is written, too.
        lengths = [len(prompt) + options.max_new_tokens for prompt in prompts]
        with _seeded(options, self.model.device):
            for batch in length_sorted_batches(lengths, self.max_batch_tokens):
                found.update(zip(batch, self._decode([prompts[i] for i in batch], options), strict=True))
        return [found[i] for i in range(len(prompts))]

    def _decode(self, prompts: list[tuple[int, ...]], options: GenerationOptions) -> list[str]:
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        tokens = torch.tensor([[self._pad_id] * n + list(p) for n, p in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * n + [1] * (width - n) for n in padding])
        written = self.model.generate(
            input_ids=tokens.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            max_new_tokens=options.max_new_tokens,
            # Chat models' generation configurations set these, and then the answer is another one.
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=self._end_ids,
            logits_processor=[_refuse_nan],
            pad_token_id=self._pad_id,
            **_sampling(options),
            **({"stop_strings": list(options.stop), "tokenizer": self.tokenizer} if options.stop else {}),
        )
        texts: list[str] = self.tokenizer.batch_decode(written[:, width:], skip_special_tokens=True)
        return [cut_at(text, options.stop) for text in texts]


def _keep_head_whole(model: Any) -> None:
    """Let the head take the last positions of a batch in one piece.

    Of a slice, torch multiplies each row of the batch by itself: 3.6 times as slow on a CPU in float32; in bfloat16 130
    times, with a copy of the head for every row.
    """
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(_in_one_piece)


def _in_one_piece(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (given[0].contiguous(), *given[1:])


def _refuse_nan(_: Tensor, scores: Tensor) -> Tensor:
    """Broken weights have no arg max that means anything, and what is written then may look like an answer."""
    if bool(scores.isnan().any()):
        raise CandidateError("non_finite_score", "The logits must be finite to write an answer, but are not.")
    return scores


def _sampling(options: GenerationOptions) -> dict[str, Any]:
    if not options.temperature:
        return {"do_sample": False}
    # All tokens stay possible: a model's own top-k and top-p would be of another distribution.
    return {"do_sample": True, "temperature": options.temperature, "top_k": 0, "top_p": 1.0}


@contextmanager
def _seeded(options: GenerationOptions, device: torch.device) -> Iterator[None]:
    """Random numbers of a seed for sampling; torch's own go on afterwards as if nothing had been drawn."""
    if not options.temperature:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(options.seed)
        yield


def widened(logits: Tensor) -> Tensor:
    """In float32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _likelihoods(logits: Tensor, targets: Tensor, pairs: list[TokenizedPair]) -> list[AnswerLikelihood]:
    chosen = logits.gather(2, targets[:, :, None]).squeeze(2) - logits.logsumexp(2)
    greedy = logits.argmax(2) == targets
    offset = _first_target(targets, pairs)
    return [_likelihood(chosen[i], greedy[i], pair, offset) for i, pair in enumerate(pairs)]


def _first_target(targets: Tensor, pairs: Sequence[TokenizedPair]) -> int:
    """The place of the first target in a row of tokens."""
    return max(map(len, pairs)) - targets.shape[1]


def token_weights(pairs: Sequence[TokenizedPair], weights: Sequence[float], targets: Tensor) -> Tensor:
    """What each target counts, `batch x n`: its pair's weight, divided among the answer; 0 in prompts and padding."""
    found, offset = torch.zeros(targets.shape, dtype=torch.float64), _first_target(targets, pairs)
    for row, pair, weight in zip(found, pairs, weights, strict=True):
        row[len(pair.prompt) - offset : len(pair) - offset] = weight / len(pair.answer)
    return found


def _likelihood(chosen: Tensor, greedy: Tensor, pair: TokenizedPair, offset: int) -> AnswerLikelihood:
    answer = slice(len(pair.prompt) - offset, len(pair) - offset)
    return AnswerLikelihood(float(chosen[answer].sum()), len(pair.answer), bool(greedy[answer].all()))
