"""Inference with Hugging Face transformers, on the live model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from workers.inference_engines._base import AnswerLikelihood, InferenceEngine, TokenizedPair
from workers.inference_engines.batching import length_sorted_batches

# Logits are float32 and as wide as the vocabulary: 4096 tokens of 128 k entries are 2 GiB. Only answers' are kept.
MAX_BATCH_TOKENS = 4096


class TransformersEngine(InferenceEngine):
    """Teacher forcing and greedy decoding in length-sorted batches.

    Likelihoods are computed with right padding and no attention mask: in a causal model nothing after
    an answer can change it. Only the logits that predict answer tokens are computed.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer; without a chat template the prompt is used as it stands.
        max_batch_tokens: upper bound of a batch, padding included.
    """

    def __init__(self, model: Any, tokenizer: Any, max_batch_tokens: int = MAX_BATCH_TOKENS) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.max_batch_tokens = max_batch_tokens
        self._end_id = _end_token(model, tokenizer)
        self._pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self._end_id

    def tokenize(self, prompt: str, answer: str) -> TokenizedPair:
        """See `InferenceEngine.tokenize`; the answer's tokens are those that generation would write."""
        return TokenizedPair(self._prompt_ids(prompt), (*self._ids(answer), self._end_id))

    def _prompt_ids(self, prompt: str) -> tuple[int, ...]:
        if not self.tokenizer.chat_template:
            return self._ids(prompt)
        turn = [{"role": "user", "content": prompt}]
        return self._ids(self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @torch.inference_mode()
    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        """See `InferenceEngine.answer_likelihoods`."""
        found: dict[int, AnswerLikelihood] = {}
        for batch in length_sorted_batches([len(pair) for pair in pairs], self.max_batch_tokens):
            found.update(zip(batch, self._score([pairs[i] for i in batch]), strict=True))
        return [found[i] for i in range(len(pairs))]

    def _score(self, pairs: list[TokenizedPair]) -> list[AnswerLikelihood]:
        width = max(map(len, pairs))
        # The logit at a position predicts the next token: start one before the first answer.
        kept = width - min(len(pair.prompt) for pair in pairs) + 1
        tokens = torch.tensor([(*p.prompt, *p.answer, *[self._pad_id] * (width - len(p))) for p in pairs])
        tokens = tokens.to(self.model.device)
        logits = self.model(input_ids=tokens, logits_to_keep=kept, use_cache=False).logits
        logits = logits[:, -kept:-1].float()  # batch x kept - 1 x vocabulary
        targets = tokens[:, width - kept + 1 :]
        chosen = logits.gather(2, targets[:, :, None]).squeeze(2) - logits.logsumexp(2)
        greedy = logits.argmax(2) == targets
        offset = width - kept + 1
        return [_likelihood(chosen[i], greedy[i], pair, offset) for i, pair in enumerate(pairs)]

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """See `InferenceEngine.generate`."""
        ids = [self._prompt_ids(prompt) for prompt in prompts]
        found: dict[int, str] = {}
        # Room for what is written, too.
        for batch in length_sorted_batches([len(i) + max_new_tokens for i in ids], self.max_batch_tokens):
            found.update(zip(batch, self._decode([ids[i] for i in batch], max_new_tokens), strict=True))
        return [found[i] for i in range(len(prompts))]

    def _decode(self, prompts: list[tuple[int, ...]], max_new_tokens: int) -> list[str]:
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        tokens = torch.tensor([[self._pad_id] * n + list(p) for n, p in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * n + [1] * (width - n) for n in padding])
        written = self.model.generate(
            input_ids=tokens.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            # Chat models' generation configurations set it, and then greedy decoding is not the arg max.
            repetition_penalty=1.0,
            eos_token_id=self._end_id,
            pad_token_id=self._pad_id,
        )
        texts: list[str] = self.tokenizer.batch_decode(written[:, width:], skip_special_tokens=True)
        return texts


def _likelihood(chosen: Tensor, greedy: Tensor, pair: TokenizedPair, offset: int) -> AnswerLikelihood:
    answer = slice(len(pair.prompt) - offset, len(pair) - offset)
    return AnswerLikelihood(float(chosen[answer].sum()), len(pair.answer), bool(greedy[answer].all()))


def _end_token(model: Any, tokenizer: Any) -> int:
    """The token that ends an answer: chat models often name it in the generation configuration only."""
    end = model.generation_config.eos_token_id
    if isinstance(end, list):
        end = tokenizer.eos_token_id if tokenizer.eos_token_id in end else end[0]
    return int(end if end is not None else tokenizer.eos_token_id)
