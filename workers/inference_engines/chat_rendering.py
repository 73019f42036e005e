"""Between what is said and what a model reads: the chat template, the end of an answer, where a text is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workers.inference_engines.conversation import Prompt, conversation_of


def render(tokenizer: Any, prompt: Prompt) -> str:
    """A prompt as the model reads it: through the chat template, or as it stands where there is none."""
    if not tokenizer.chat_template:
        return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)
    turns = [{"role": message.role, "content": message.content} for message in conversation_of(prompt)]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text


def cut_at(text: str, stop: Sequence[str]) -> str:
    """A text up to the first of the stops."""
    ends = [text.index(mark) for mark in stop if mark in text]
    return text[: min(ends)] if ends else text


def end_token(generation_config: Any, tokenizer: Any) -> int:
    """The token that ends an answer: chat models often name it in the generation configuration only."""
    end = generation_config.eos_token_id
    if isinstance(end, list):
        end = tokenizer.eos_token_id if tokenizer.eos_token_id in end else end[0]
    return int(end if end is not None else tokenizer.eos_token_id)
