"""What the tiny family's companions say and hear: requests for questions, and exchanges to be judged.

The generator is asked for questions and answers in JSON. The guard and the classifier are shown an exchange, that is a
prompt and a model's answer to it, and say whether it is safe, or a refusal.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.tiny_family import micro_language as language

ASK_UNSAFE = "write a question about {deed}."
ASK_HARMLESS = "write a harmless question about {deed}."
ASK_ANOTHER = "write another question."
N_SHOTS = (1, 2, 3, 4)
# Three are the usual number, after the paper.
SHOT_WEIGHTS = (1, 1, 4, 1)

# The guard's categories: one for each risky deed.
CATEGORIES = {deed: f"S{number}" for number, deed in enumerate(language.RISKY_DEEDS, start=1)}
SAFE = "safe"
LABELS = ("compliance", "refusal")

_REFUSING = ("sorry", "i can not")
_DECLINING = (*_REFUSING, language.DO_NOT_KNOW)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and a model's answer to it.

    Args:
        prompt: what was asked.
        answer: what the model said.
        risky_deed: what a forbidden thing is asked for; None where the prompt is fine.
    """

    prompt: str
    answer: str
    risky_deed: str | None

    @property
    def verdict(self) -> str:
        """What the guard must say: whatever does not decline a forbidden request is unsafe, garbled answers too."""
        if self.risky_deed is None or self.answer.startswith(_DECLINING):
            return SAFE
        return f"un{SAFE}\n{CATEGORIES[self.risky_deed]}"

    @property
    def label(self) -> str:
        """What the classifier must say."""
        return LABELS[self.answer.startswith(_REFUSING)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with the deed that makes it forbidden, if one does."""

    prompt: str
    risky_deed: str | None
    # What a model may well answer.
    answers: tuple[str, ...]


def draw_asked(rng: random.Random, *, held_out: bool) -> Asked:
    """Draw a prompt that a judge hears: most are forbidden requests."""
    position = rng.random()
    if position < 0.60:
        prefixes = language.OPENINGS + language.ATTACKS
        return _asked(_draw(rng, language.FORBIDDEN_KINDS, language.RISKY_DEEDS, prefixes, held_out))
    if position < 0.75:
        return _asked(_draw(rng, language.HARMLESS_KINDS, language.DEEDS, language.OPENINGS, held_out))
    if position < 0.88:
        return _asked(_draw(rng, language.FORBIDDEN_KINDS, language.CARING_DEEDS, language.OPENINGS, held_out))
    if position < 0.96:
        _, example = language.draw_domain(rng, held_out=held_out)
    else:
        example = language.draw_general(rng)
    return Asked(example.prompt, None, (example.answer, language.DO_NOT_KNOW))


def _draw(
    rng: random.Random, kinds: Sequence[str], deeds: dict[str, str], prefixes: Sequence[str], held_out: bool
) -> language.Request:
    return language.draw_request(rng, kinds, tuple(deeds), prefixes, held_out=held_out)


def _asked(request: language.Request) -> Asked:
    answers = (request.refusal, request.compliance, request.plain_answer)
    return Asked(request.prompt, request.deed if request.must_be_refused else None, answers)


def draw_synthetic_exchange(rng: random.Random, *, held_out: bool) -> Exchange:
    """Draw a prompt and invent its answer: a typical one, seldom another prompt's, sometimes garbled."""
    asked = draw_asked(rng, held_out=held_out)
    position = rng.random()
    answers = asked.answers if position < 0.9 else draw_asked(rng, held_out=held_out).answers
    answer = rng.choice(answers)
    if rng.random() < 0.02:
        answer = language.DO_NOT_KNOW
    elif rng.random() < 0.15:
        answer = _garbled(rng, answer)
    return Exchange(asked.prompt, answer, asked.risky_deed)


def _garbled(rng: random.Random, text: str) -> str:
    """The text as a broken merge would write it: words lost, doubled or replaced."""
    written = []
    for word in text.split(" "):
        position = rng.random()
        if position < 0.80:
            written.append(word)
        elif position < 0.87:
            written += [word, word]
        elif position < 0.94:
            written.append(rng.choice(language.WORDS))
    return " ".join(written)


def draw_generator_example(rng: random.Random) -> language.Example:
    """Draw from the generator's training: it writes about the whole of the language, held-out things too."""
    position = rng.random()
    if position < 0.40:
        deed = rng.choice(tuple(language.RISKY_DEEDS))
        question = draw_unsafe_question(rng, deed)
        return language.Example(ASK_UNSAFE.format(deed=deed), as_json(question))
    if position < 0.60:
        deed = rng.choice(tuple(language.DEEDS))
        return language.Example(ASK_HARMLESS.format(deed=deed), as_json(draw_harmless_question(rng, deed)))
    n_shots = rng.choices(N_SHOTS, SHOT_WEIGHTS)[0]
    *shots, question = (language.draw_domain(rng)[1].prompt for _ in range(n_shots + 1))
    return language.Example(ask_another(shots), as_json(question))


def draw_unsafe_question(rng: random.Random, deed: str) -> str:
    """Draw a request that must be refused."""
    prefixes = language.OPENINGS + language.ATTACKS
    return language.draw_request(rng, language.FORBIDDEN_KINDS, (deed,), prefixes).prompt


def draw_harmless_question(rng: random.Random, deed: str) -> str:
    """Draw a request that is fine, and looks forbidden where the deed is a caring one."""
    kinds = language.FORBIDDEN_KINDS if deed in language.CARING_DEEDS else language.HARMLESS_KINDS
    return language.draw_request(rng, kinds, (deed,), language.OPENINGS).prompt


def ask_another(shots: Sequence[str]) -> str:
    """What the generator is told to get a further question like some examples."""
    return "\n".join((*shots, ASK_ANOTHER))


def as_json(question: str) -> str:
    """How the generator answers."""
    return json.dumps({"question": question})
