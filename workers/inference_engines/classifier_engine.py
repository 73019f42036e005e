"""Sequence classification as text generation: the answer to a conversation is its label's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import CheckpointError
from workers.inference_engines._base import TextGenerator
from workers.inference_engines.batching import length_sorted_batches
from workers.inference_engines.conversation import Conversation, GenerationOptions, Prompt, conversation_of

MAX_BATCH_TOKENS = 4096


class ClassifierEngine(TextGenerator):
    """Labels whole conversations in length-sorted batches.

    With a chat template, the model reads the conversation as it renders it, and no cue to answer. Without one, it
    reads the first turn and the others as a pair of texts, the way such models are trained. What is longer than the
    model takes loses its beginning.

    Args:
        model: for sequence classification, in evaluation mode.
        tokenizer: its tokenizer.
        max_batch_tokens: upper bound of a batch, padding included.
    """

    def __init__(self, model: Any, tokenizer: Any, max_batch_tokens: int = MAX_BATCH_TOKENS) -> None:
        self.model = model
        self.tokenizer = tokenizer
        # Without a token to pad with, one conversation at a time.
        self.max_batch_tokens = max_batch_tokens if tokenizer.pad_token is not None else 1
        tokenizer.truncation_side = "left"
        # A causal classifier looks at the last token that is not this one.
        model.config.pad_token_id = tokenizer.pad_token_id

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[str]:
        """See `TextGenerator.generate`; a label has no options."""
        read = [self._encode(conversation_of(prompt)) for prompt in prompts]
        found: dict[int, str] = {}
        for batch in length_sorted_batches([len(each["input_ids"]) for each in read], self.max_batch_tokens):
            found.update(zip(batch, self._label([read[i] for i in batch]), strict=True))
        return [found[i] for i in range(len(prompts))]

    def _encode(self, conversation: Conversation) -> dict[str, list[int]]:
        limits = {"truncation": True, "max_length": self._max_tokens}
        if self.tokenizer.chat_template:
            turns = [{"role": message.role, "content": message.content} for message in conversation]
            text = self.tokenizer.apply_chat_template(turns, tokenize=False)
            return dict(self.tokenizer(text, add_special_tokens=False, **limits))
        first, *others = (message.content for message in conversation)
        return dict(self.tokenizer(first, "\n\n".join(others) if others else None, **limits))

    @property
    def _max_tokens(self) -> int:
        # A tokenizer without a bound of its own names an astronomic one.
        return min(int(self.tokenizer.model_max_length), int(self.model.config.max_position_embeddings))

    def _label(self, batch: list[dict[str, list[int]]]) -> list[str]:
        logits = self.model(**{name: self._padded(name, batch) for name in batch[0]}).logits  # batch x labels
        return [self.model.config.id2label[number] for number in logits.argmax(1).tolist()]

    def _padded(self, name: str, batch: list[dict[str, list[int]]]) -> Tensor:
        """One of the tokenizer's outputs, `batch x longest`; attention masks and types of tokens are padded with 0."""
        fill = (self.tokenizer.pad_token_id or 0) if name == "input_ids" else 0
        width = max(len(each[name]) for each in batch)
        rows = [each[name] + [fill] * (width - len(each[name])) for each in batch]
        return torch.tensor(rows, device=self.model.device)


def load_classifier(folder: str, dtype: str, device: str) -> ClassifierEngine:
    """The engine over a folder; never code from it, never the network.

    Args:
        folder: with safetensors, configuration and tokenizer.
        dtype: torch's name of it, or `auto` for the checkpoint's own.
        device: torch's name of it.

    Raises:
        CheckpointError: the folder holds no model for sequence classification with a tokenizer.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options = {"local_files_only": True, "trust_remote_code": False}
    wanted = "auto" if dtype == "auto" else getattr(torch, dtype)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=wanted, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise CheckpointError(
            f"'{folder}' must hold a model for sequence classification in safetensors with its tokenizer, but: {reason}"
        ) from error
    return ClassifierEngine(model.to(device).eval().requires_grad_(False), tokenizer)
