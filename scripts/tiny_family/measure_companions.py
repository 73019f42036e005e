"""Measure the tiny family's companions: what the generator's samples are worth, and how often the judges are right.

python -m scripts.tiny_family.measure_companions FAMILY
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from functools import cache
from pathlib import Path

import torch

from scripts.tiny_family import companion_language as companions
from scripts.tiny_family import micro_language as language
from scripts.tiny_family.family_answers import answered_by_merges
from workers.inference_engines import GenerationOptions, Message, ModelSource
from workers.inference_engines.opening import open_generator

# The three models, and five merges whose answers the judges did not learn from.
MERGES = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.7, 0.7), (1.2, 0.8), (1.0, 0.7), (0.3, 0.6), (0.8, 0.2))
N_ANSWERS_PER_MERGE = 250
N_SAMPLES = 800
SAMPLING = GenerationOptions(max_new_tokens=40, temperature=0.8, seed=1)
JUDGING = GenerationOptions(max_new_tokens=12)


def question_of(reply: str) -> str:
    """The question in a reply of the generator; "" where the reply is not the JSON that it must be."""
    try:
        read = json.loads(reply)
    except ValueError:
        return ""
    return str(read["question"]) if isinstance(read, dict) and read.keys() == {"question"} else ""


@cache
def every_request(kinds: tuple[str, ...], deeds: tuple[str, ...], prefixes: tuple[str, ...]) -> frozenset[str]:
    """Every prompt that `draw_request` can draw."""
    parts = itertools.product(prefixes, language.REQUEST_FORMS, deeds, kinds, language.OBJECTS)
    return frozenset(
        prefix + form.format(deed=deed, thing=f"{kind} {object_}") for prefix, form, deed, kind, object_ in parts
    )


def is_domain_question(text: str) -> bool:
    """Whether `draw_domain` can draw it; a flip may hold a word twice."""
    if text.startswith("flip ") and text.endswith("."):
        words = text.removeprefix("flip ").removesuffix(".").split(" ")
        return len(words) == 3 and set(words) <= set(language.WORDS)
    things = itertools.product(language.HARMLESS_KINDS, language.OBJECTS)
    codes = (form.format(thing=f"{kind} {object_}") for kind, object_ in things for form in language.CODE_FORMS)
    units = itertools.product(range(1, 100), language.CONVERSIONS)
    return text in {*codes, *(f"{number} {unit} in {target}?" for number, (unit, target, _) in units)}


def ask_unsafe(rng: random.Random) -> str:
    """Ask for a question that must be refused."""
    return companions.ASK_UNSAFE.format(deed=rng.choice(tuple(language.RISKY_DEEDS)))


def ask_harmless(rng: random.Random) -> str:
    """Ask for a question that is fine."""
    return companions.ASK_HARMLESS.format(deed=rng.choice(tuple(language.DEEDS)))


def ask_another(rng: random.Random) -> str:
    """Ask for a question like three examples."""
    return companions.ask_another([language.draw_domain(rng)[1].prompt for _ in range(3)])


def is_unsafe(question: str) -> bool:
    """Whether it must be refused."""
    prefixes = language.OPENINGS + language.ATTACKS
    return question in every_request(language.FORBIDDEN_KINDS, tuple(language.RISKY_DEEDS), prefixes)


def is_harmless(question: str) -> bool:
    """Whether it is a request that is fine, as `draw_harmless_question` draws them."""
    risky, caring = tuple(language.RISKY_DEEDS), tuple(language.CARING_DEEDS)
    return question in every_request(language.HARMLESS_KINDS, risky, language.OPENINGS) | every_request(
        language.FORBIDDEN_KINDS, caring, language.OPENINGS
    )


def report_generator(folder: Path) -> None:
    """Print, for each kind of request, the shares of usable samples and the number of distinct questions."""
    generator = open_generator(ModelSource(str(folder / "generator")))
    for ask, is_right in ((ask_unsafe, is_unsafe), (ask_harmless, is_harmless), (ask_another, is_domain_question)):
        rng = random.Random(2)
        prompts = [ask(rng) for _ in range(N_SAMPLES)]
        questions = [question_of(reply) for reply in generator.generate(prompts, SAMPLING)]
        right = [question for question in questions if is_right(question)]
        print(
            f"{ask.__name__}: {N_SAMPLES} samples, {sum(map(bool, questions)) / N_SAMPLES:.3f} JSON, "
            f"{len(right) / N_SAMPLES:.3f} right, {len(set(right))} distinct"
        )


def report_judges(folder: Path) -> None:
    """Print how often guard and classifier say what the language's rules say, on held-out keys."""
    real = list(answered_by_merges(folder, MERGES, N_ANSWERS_PER_MERGE, held_out=True))
    rng = random.Random(3)
    invented = [companions.draw_synthetic_exchange(rng, held_out=True) for _ in range(1000)]
    guard, classifier = (open_generator(ModelSource(str(folder / name))) for name in ("guard", "classifier"))
    n = N_ANSWERS_PER_MERGE
    parts = {str(weights): real[i * n : (i + 1) * n] for i, weights in enumerate(MERGES)} | {"invented": invented}
    for name, exchanges in parts.items():
        talks = [(Message("user", each.prompt), Message("assistant", each.answer)) for each in exchanges]
        verdicts, labels = (judge.generate(talks, JUDGING) for judge in (guard, classifier))
        wanted = [each.verdict for each in exchanges]
        n_safe = sum(verdict == companions.SAFE for verdict in wanted)
        right = sum(map(str.__eq__, verdicts, wanted)) / len(wanted)
        same = sum(a.split("\n")[0] == b.split("\n")[0] for a, b in zip(verdicts, wanted, strict=True)) / len(wanted)
        labelled = sum(label == each.label for label, each in zip(labels, exchanges, strict=True)) / len(wanted)
        print(
            f"{name}: {len(wanted)} exchanges, {n_safe} safe; the guard is right in {right:.3f} "
            f"({same:.3f} without categories), the classifier in {labelled:.3f}"
        )


def main() -> None:
    """Read the command line and print the report."""
    parser = argparse.ArgumentParser(description="Measure the tiny family's companions.")
    parser.add_argument("family", type=Path, help="folder of the family and its companions")
    folder: Path = parser.parse_args().family
    torch.set_num_threads(1)
    report_generator(folder)
    report_judges(folder)


if __name__ == "__main__":
    main()
