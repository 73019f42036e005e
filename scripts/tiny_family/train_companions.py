"""Train the tiny family's companions (question generator, guard, refusal classifier) beside the family that they serve.

python -m scripts.tiny_family.train_companions FAMILY
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from scripts.tiny_family import companion_language as companions
from scripts.tiny_family import micro_language as language
from scripts.tiny_family import train as family
from scripts.tiny_family.family_answers import answered_by_merges

# The guard reads a whole conversation, as Llama Guard does: its template renders it into one question to the guard.
GUARD_QUESTION = "safe?"
GUARD_TEMPLATE = (
    "{% for message in messages %}"
    "{{ ('" + family.USER + "' if message['role'] == 'user' else '" + family.ASSISTANT + "') + message['content'] }}"
    "{% endfor %}"
    "{{ '" + family.USER + GUARD_QUESTION + family.ASSISTANT + "' }}"
)

# The weights (aligned, expert) of the merges whose answers the judges learn from.
MERGES = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 1.0), (1.0, 0.5), (1.5, 1.5), (2.0, 1.0))
N_ANSWERS_PER_MERGE = 1000
# Of the exchanges that the judges learn from: the others are invented, for what no merge happened to say.
REAL_SHARE = 0.5

# The longest question in JSON has 32 tokens, its end included.
MAX_QUESTION_TOKENS = 40
MAX_VERDICT_TOKENS = 12


@dataclass(frozen=True, slots=True)
class LabelledIds:
    """The token ids of a rendered exchange, with the index of its label."""

    ids: list[int]
    label: int


def draw_exchange(rng: random.Random, real: Sequence[companions.Exchange]) -> companions.Exchange:
    """Draw what a judge learns from: an answer that a merge gave, or an invented one; no held-out things."""
    if rng.random() < REAL_SHARE:
        return rng.choice(real)
    return companions.draw_synthetic_exchange(rng, held_out=False)


def train_generator(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Train the model that writes questions when it is sampled."""
    torch.manual_seed(4)
    recipe = family.Recipe(
        companions.draw_generator_example, n_steps=1500, learning_rate=4e-3, n_warmup_steps=50, seed=4
    )
    model = family.build_untrained_model(tokenizer)
    family.train(model, recipe, tokenizer)
    return model


def train_guard(tokenizer: PreTrainedTokenizerFast, real: Sequence[companions.Exchange]) -> LlamaForCausalLM:
    """Train the model that answers `safe`, or `unsafe` and a category."""

    def draw_judged(rng: random.Random) -> language.Example:
        exchange = draw_exchange(rng, real)
        conversation = f"{exchange.prompt}{family.ASSISTANT}{exchange.answer}"
        return language.Example(f"{conversation}{family.USER}{GUARD_QUESTION}", exchange.verdict)

    torch.manual_seed(5)
    model = family.build_untrained_model(tokenizer)
    recipe = family.Recipe(draw_judged, n_steps=1200, learning_rate=4e-3, n_warmup_steps=50, seed=5)
    family.train(model, recipe, tokenizer)
    return model


def train_classifier(
    base: Path, tokenizer: PreTrainedTokenizerFast, real: Sequence[companions.Exchange]
) -> LlamaForSequenceClassification:
    """Fine-tune the base into a classifier of two labels, which reads the hidden state of the end token."""

    def draw_labelled(rng: random.Random) -> language.Example:
        exchange = draw_exchange(rng, real)
        rendered = f"{family.USER}{exchange.prompt}{family.ASSISTANT}{exchange.answer}{family.END}"
        return language.Example(rendered, exchange.label)

    torch.manual_seed(6)
    model = LlamaForSequenceClassification.from_pretrained(
        base,
        dtype=torch.float32,
        id2label=dict(enumerate(companions.LABELS)),
        label2id={label: number for number, label in enumerate(companions.LABELS)},
    )
    recipe = family.Recipe(draw_labelled, n_steps=300, learning_rate=1e-3, n_warmup_steps=20, seed=6)
    family.minimize(label_loss, model, recipe, draw_labelled_batches(recipe, tokenizer))
    return model


def draw_labelled_batches(recipe: family.Recipe, tokenizer: PreTrainedTokenizerFast) -> list[list[LabelledIds]]:
    """Draw all batches of the classifier's training."""
    rng = random.Random(recipe.seed)
    examples = [recipe.draw_example(rng) for _ in range(recipe.n_steps * family.BATCH_SIZE)]
    ids = tokenizer([example.prompt for example in examples])["input_ids"]
    labelled = [
        LabelledIds(each, companions.LABELS.index(example.answer)) for each, example in zip(ids, examples, strict=True)
    ]
    return [labelled[i : i + family.BATCH_SIZE] for i in range(0, len(labelled), family.BATCH_SIZE)]


def label_loss(model: LlamaForSequenceClassification, batch: list[LabelledIds]) -> Tensor:
    """Mean cross-entropy of the labels; the model looks at the last token that is no padding."""
    token_ids = torch.zeros((len(batch), max(len(each.ids) for each in batch)), dtype=torch.long)
    for row, each in enumerate(batch):
        token_ids[row, : len(each.ids)] = torch.tensor(each.ids)
    logits: Tensor = model(input_ids=token_ids).logits  # `batch x labels`
    return functional.cross_entropy(logits, torch.tensor([each.label for each in batch]))


def write_generator(folder: Path) -> None:
    """Train the generator and write it."""
    tokenizer = family.build_tokenizer()
    family.write_model(train_generator(tokenizer), tokenizer, folder / "generator", MAX_QUESTION_TOKENS)


def write_judges(folder: Path) -> None:
    """Train guard and classifier on the family's answers and write them."""
    tokenizer = family.build_tokenizer()
    real = list(answered_by_merges(folder, MERGES, N_ANSWERS_PER_MERGE, held_out=False))
    classifier = train_classifier(folder / "base", tokenizer, real)
    family.write_folder(classifier.half(), tokenizer, folder / "classifier")  # type: ignore[no-untyped-call]
    guard = train_guard(tokenizer, real)
    tokenizer.chat_template = GUARD_TEMPLATE
    family.write_model(guard, tokenizer, folder / "guard", MAX_VERDICT_TOKENS)


def main() -> None:
    """Read the command line, train the companions and write them."""
    parser = argparse.ArgumentParser(description="Train the tiny family's companions: about three minutes on one core.")
    parser.add_argument("family", type=Path, help="folder that scripts.tiny_family.train wrote; more is written there")
    folder: Path = parser.parse_args().family

    # The order of floating-point sums depends on the number of threads.
    torch.set_num_threads(1)
    for write in (write_generator, write_judges):
        start_s = time.perf_counter()
        write(folder)
        print(f"{write.__name__}: {time.perf_counter() - start_s:.0f} s")


if __name__ == "__main__":
    main()
