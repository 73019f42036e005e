"""What is said to a model, and how it shall answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Args:
        role: `system`, `user` or `assistant`.
        content: the text.
    """

    role: str
    content: str


Conversation = tuple[Message, ...]
# A text alone is a conversation of one turn of the user's.
Prompt = str | Conversation


def conversation_of(prompt: Prompt) -> Conversation:
    """The conversation that a prompt stands for."""
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How an answer is written.

    Args:
        max_new_tokens: at most so many.
        temperature: 0 is greedy: the same prompt gets the same answer.
        seed: of sampling; the same prompts together, in the same order, get the same answers.
        stop: texts before which an answer ends.
    """

    max_new_tokens: int = 48
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0:
            raise ValueError(
                "`max_new_tokens` must be at least 1 and `temperature` at least 0, "
                f"but got {self.max_new_tokens} and {self.temperature}."
            )
