"""Questions from a generator, until there are enough of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from search_spaces.errors import SynthesisError
from service.synthesis.dispatch import Dispatcher, seed_of
from service.synthesis.near_duplicates import KnownQuestions
from service.synthesis.prompts import AskedQuestion
from service.synthesis.replies import read_question
from service.synthesis.rows import Question
from workers.inference_engines import GenerationOptions, ModelSource, Prompt, conversation_of

# After so many replies without one question, the rest will be no better.
_HOPELESS = 96
# The least that is taken for the share of usable replies: a bad start must not ask for the whole limit at once.
_LEAST_YIELD = 0.25


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes questions, and how.

    Args:
        name: for people.
        source: the model.
        options: temperature, length, the first seed.
        limit: questions that may be asked for in all.
    """

    name: str
    source: ModelSource
    options: GenerationOptions
    limit: int


class QuestionWriter:
    """Asks for questions, reads the replies, leaves out what is known; counts what becomes of each.

    Args:
        dispatcher: who carries.
        writer: who writes.
        requests: what is asked, endless.
        known: what was seen before.
        counts: where `asked`, `unparsable` and `duplicate` are counted.
        stage: what this is for.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        writer: Writer,
        requests: Iterator[AskedQuestion],
        known: KnownQuestions,
        counts: Counter[str],
        stage: str,
    ) -> None:
        self._dispatcher = dispatcher
        self._writer = writer
        self._requests = requests
        self._known = known
        self._counts = counts
        self._stage = stage
        self._n_asked = 0
        self._n_found = 0

    def write(self, n: int) -> list[Question]:
        """New questions: `n` of them, or fewer where the limit is reached.

        Raises:
            SynthesisError: the generator writes no JSON at all.
            GenerationError: see `Dispatcher.ask`.
        """
        found: list[Question] = []
        while len(found) < n and self._n_asked < self._writer.limit:
            found += self._round(n - len(found))
            self._check_hope()
        return found

    def _round(self, n_missing: int) -> list[Question]:
        expected = max(_LEAST_YIELD, self._n_found / self._n_asked if self._n_asked else 1.0)
        n = min(math.ceil(n_missing / expected), self._writer.limit - self._n_asked)
        if not self._n_found:
            n = min(n, _HOPELESS)  # before more is asked, something must have come of it
        requests = list(islice(self._requests, n))
        options = replace(self._writer.options, seed=self._writer.options.seed + self._n_asked)
        replies = self._dispatcher.ask(
            self._writer.source, [request.prompt for request in requests], options, f"{self._stage}: questions"
        )
        self._n_asked += n
        self._counts["asked"] += n
        found = []
        for position, (request, reply) in enumerate(zip(requests, replies, strict=True)):
            question = read_question(reply)
            if question is None:
                self._counts["unparsable"] += 1
            elif not self._known.add(question):
                self._counts["duplicate"] += 1
            else:
                found.append(Question(question, request.category, self._source(request, options, position)))
        self._n_found += len(found)
        return found

    def _source(self, request: AskedQuestion, options: GenerationOptions, position: int) -> dict[str, object]:
        return {
            "question_by": self._writer.name,
            "prompt_sha256": prompt_digest(request.prompt),
            "temperature": options.temperature,
            "seed": seed_of(options, position),
        }

    def _check_hope(self) -> None:
        if self._n_found == 0 and self._n_asked >= min(_HOPELESS, self._writer.limit):
            raise SynthesisError(
                f"The generator '{self._writer.name}' must reply with JSON that holds a new `question`, but "
                f"{self._n_asked} of {self._n_asked} replies for the {self._stage} set held none: "
                f"{told(self._counts)}. Choose another generator, or ask it otherwise by "
                f"`synthesis.{self._stage}.prompt`."
            )


def told(counts: Counter[str]) -> str:
    """What became of the replies, in words; nothing of what did not happen."""
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n and what != "asked")


def prompt_digest(prompt: Prompt) -> str:
    """SHA-256 of a conversation."""
    turns = [(message.role, message.content) for message in conversation_of(prompt)]
    return hashlib.sha256(json.dumps(turns, ensure_ascii=False).encode()).hexdigest()
