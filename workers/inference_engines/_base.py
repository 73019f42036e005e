"""The contract of an inference engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenizedPair:
    """A prompt and an answer as token ids; the answer ends with the end token."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class AnswerLikelihood:
    """What one teacher-forced forward pass says of an answer.

    Args:
        total: log-likelihood of the answer's tokens, end token included.
        n_tokens: how many those are.
        greedy: every token is the arg max: greedy decoding would write exactly this answer.
    """

    total: float
    n_tokens: int
    greedy: bool

    @property
    def mean(self) -> float:
        """Log-likelihood per token."""
        return self.total / self.n_tokens


class InferenceEngine(ABC):
    """Reads the weights of the live candidate as they are at the moment of the call."""

    @abstractmethod
    def tokenize(self, prompt: str, answer: str) -> TokenizedPair:
        """A conversation of one turn, through the tokenizer's chat template."""

    @abstractmethod
    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        """The likelihood of each answer after its prompt, in the order of `pairs`."""

    @abstractmethod
    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Greedy answers, without special tokens, in the order of `prompts`."""
