"""Between what is said and what a model reads: the chat template, the end of an answer, where a text is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workers.inference_engines.conversation import Prompt, conversation_of

# No template writes it by itself.
_ANSWER = "forty-two"


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


def end_ids(generation_config: Any) -> list[int]:
    """The tokens that end an answer, as the generation configuration names them."""
    end = generation_config.eos_token_id
    return [] if end is None else list(end) if isinstance(end, list) else [int(end)]


def end_token(generation_config: Any, tokenizer: Any) -> int:
    """The token that ends an answer: chat models often name it in the generation configuration only.

    Where that names several, it is the one that the chat template puts behind an answer.
    """
    known = end_ids(generation_config)
    if len(known) > 1 and tokenizer.chat_template:
        turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _ANSWER}]
        behind = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(_ANSWER)[2]
        for token in tokenizer(behind, add_special_tokens=False)["input_ids"]:
            if token in known:
                return int(token)
    return int(tokenizer.eos_token_id if not known or tokenizer.eos_token_id in known else known[0])
