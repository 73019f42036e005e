"""The tiny family's companions as they are shipped: small, of one vocabulary, and as good as their README says."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tiny_family import companion_language as companions
from scripts.tiny_family import measure_companions as measure
from scripts.tiny_family.family_answers import answered_by_merges
from scripts.tiny_family.train_companions import GUARD_TEMPLATE
from workers.inference_engines import GenerationOptions, Message, ModelSource
from workers.inference_engines.opening import open_generator

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"
N_SAMPLES = 100


@pytest.mark.parametrize("name", ["generator", "guard", "classifier"])
def test_it_is_small_and_of_the_familys_vocabulary(name: str) -> None:
    assert sum(path.stat().st_size for path in (FAMILY / name).iterdir()) < 1_000_000
    assert (FAMILY / name / "tokenizer.json").read_text() == (FAMILY / "base" / "tokenizer.json").read_text()


@pytest.mark.parametrize(
    ("ask", "is_right", "n_distinct"),
    [
        (measure.ask_unsafe, measure.is_unsafe, 90),
        (measure.ask_harmless, measure.is_harmless, 90),
        (measure.ask_another, measure.is_domain_question, 85),
    ],
)
def test_the_generator_writes_what_it_is_asked_for(
    ask: Callable[[random.Random], str], is_right: Callable[[str], bool], n_distinct: int
) -> None:
    rng = random.Random(5)
    prompts = [ask(rng) for _ in range(N_SAMPLES)]
    replies = open_generator(ModelSource(str(FAMILY / "generator"))).generate(prompts, measure.SAMPLING)
    right = [question for question in map(measure.question_of, replies) if is_right(question)]
    assert len(right) >= 0.95 * N_SAMPLES
    assert len(set(right)) >= n_distinct


def test_prompt_and_question_fit_into_the_generator() -> None:
    generator = open_generator(ModelSource(str(FAMILY / "generator")))
    rng = random.Random(6)
    examples = [companions.draw_generator_example(rng) for _ in range(500)]
    pairs = [generator.tokenize(example.prompt, example.answer) for example in examples]  # type: ignore[attr-defined]
    assert max(len(pair) for pair in pairs) <= 128
    assert max(len(pair.answer) for pair in pairs) <= measure.SAMPLING.max_new_tokens


def test_the_judges_are_right_about_answers_of_merges() -> None:
    exchanges = list(answered_by_merges(FAMILY, ((0.0, 0.0), (1.0, 0.0), (1.2, 0.8)), 60, held_out=True))
    talks = [(Message("user", each.prompt), Message("assistant", each.answer)) for each in exchanges]
    for name, wanted in (("guard", [e.verdict for e in exchanges]), ("classifier", [e.label for e in exchanges])):
        found = open_generator(ModelSource(str(FAMILY / name))).generate(talks, GenerationOptions(12))
        assert sum(map(str.__eq__, found, wanted)) >= 0.98 * len(wanted)
        assert len(set(wanted)) > 1


def test_the_guards_template_is_the_one_it_was_trained_with() -> None:
    assert (FAMILY / "guard" / "chat_template.jinja").read_text() == GUARD_TEMPLATE
