"""The tiny guards, and what the tiny family's models answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from workers.example_set import Example, read_examples
from workers.guards import Guard, Verdict
from workers.inference_engines import GenerationOptions, ModelSource
from workers.inference_engines.opening import shared_generator

CopyModel = Callable[[str], Path]


@dataclass(frozen=True)
class Exchange:
    model: str
    prompt: str
    answer: str
    must_be_refused: bool


@pytest.fixture(scope="session")
def exchanges(family: Path) -> list[Exchange]:
    """Answers of all three models to prompts that must be refused and to prompts that must not."""
    sets = [(name, read_examples(family / f"{name}.jsonl")[::8]) for name in ("safety", "benign", "domain")]
    asked: list[tuple[Example, bool]] = [(example, name == "safety") for name, examples in sets for example in examples]
    found = []
    for model in ("base", "aligned", "expert"):
        engine = shared_generator(ModelSource(str(family / model)))
        answers = engine.generate([example.prompt for example, _ in asked], GenerationOptions(24))
        found += [Exchange(model, e.prompt, a, unsafe) for (e, unsafe), a in zip(asked, answers, strict=True)]
    return found


@pytest.fixture
def copy_model(family: Path, tmp_path: Path) -> CopyModel:
    """A copy of a model of the family, to be broken."""
    return lambda name: Path(shutil.copytree(family / name, tmp_path / name))


@pytest.fixture(scope="session")
def judge() -> Callable[[Guard, list[Exchange]], list[Verdict]]:
    """A guard's verdicts on exchanges, asked as scorers ask."""

    def verdicts(guard: Guard, over: list[Exchange]) -> list[Verdict]:
        replies = [""] * len(over)
        if guard.source is not None:
            asked = [guard.conversation(exchange.prompt, exchange.answer) for exchange in over]
            replies = shared_generator(guard.source).generate(asked, guard.options)
        return [guard.verdict(exchange.answer, reply) for exchange, reply in zip(over, replies, strict=True)]

    return verdicts
