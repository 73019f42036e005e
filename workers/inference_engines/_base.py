"""The contracts of inference: who writes text, and who also tells likelihoods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from search_spaces.errors import SpecificationError
from workers.inference_engines.chat_rendering import render
from workers.inference_engines.conversation import GenerationOptions, Prompt


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


class TextGenerator(ABC):
    """Whatever answers: a model in memory, or an endpoint."""

    @abstractmethod
    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[str]:
        """Answers, without special tokens, in the order of `prompts`.

        Raises:
            GenerationError: no answer can be had; what was asked can be asked again.
        """


class InferenceEngine(TextGenerator):
    """A model whose tokens can be looked at; reads the weights as they are at the moment of the call.

    Attributes:
        tokenizer: of transformers.
        device: torch's name of where it computes; models that help a scorer belong there too.
        max_tokens: the longest sequence that the model takes.
        end_id: the token that ends an answer.
        has_gradients: whether it can run backward.
    """

    has_gradients: ClassVar[bool] = False

    tokenizer: Any
    device: str
    max_tokens: int
    end_id: int

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a plain text: no chat template, no special tokens added."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def tokenize(self, prompt: Prompt, answer: str) -> TokenizedPair:
        """A prompt through the tokenizer's chat template, and the tokens that generation would write for an answer."""
        return TokenizedPair(self.prompt_ids(prompt), (*self.encode(answer), self.end_id))

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Token ids of a prompt through the tokenizer's chat template, which itself writes what begins a text."""
        text = render(self.tokenizer, prompt)
        if self.tokenizer.chat_template:
            return self.encode(text)
        ids = list(self.tokenizer(text)["input_ids"])
        # What some tokenizers put behind a text would end it before the answer.
        return tuple(ids[:-1] if ids and ids[-1] == self.tokenizer.eos_token_id else ids)

    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[str]:
        """See `TextGenerator.generate`."""
        return self.complete([self.prompt_ids(prompt) for prompt in prompts], options)

    @abstractmethod
    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        """The likelihood of each answer after its prompt, in the order of `pairs`."""

    def backward_likelihoods(self, pairs: Sequence[TokenizedPair], weights: Sequence[float]) -> list[AnswerLikelihood]:
        """The same, and a backward pass of Σ weightᵢ · meanᵢ into whatever requires a gradient.

        Args:
            pairs: see `answer_likelihoods`.
            weights: of each pair's log-likelihood per token.

        Raises:
            SpecificationError: the engine has no gradients.
        """
        self.check_gradients()
        raise NotImplementedError

    def check_gradients(self) -> None:
        """Refuse what has no gradients.

        Raises:
            SpecificationError: the engine has none.
        """
        if not self.has_gradients:
            raise SpecificationError(
                f"Gradients need an engine that runs backward, but {type(self).__name__} does not. "
                "Set `workers.engine` to `transformers`."
            )

    @abstractmethod
    def complete(self, prompts: Sequence[tuple[int, ...]], options: GenerationOptions) -> list[str]:
        """What follows on token ids, without special tokens, in the order of `prompts`."""
