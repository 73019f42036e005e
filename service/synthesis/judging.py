"""Which answers are refusals: a guard's verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from service.synthesis.dispatch import Dispatcher
from workers.guards import Guard, Verdict


def judge(
    dispatcher: Dispatcher, guard: Guard, prompts: Sequence[str], answers: Sequence[str], stage: str
) -> list[Verdict]:
    """A verdict on each answer.

    Raises:
        GenerationError: the guard cannot be asked, or never replies with a verdict.
    """
    if guard.source is None:
        return guard.verdicts(answers, [""] * len(answers))
    asked = [guard.conversation(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    replies = dispatcher.ask(guard.source, asked, guard.options, stage)
    return guard.verdicts(answers, replies)
