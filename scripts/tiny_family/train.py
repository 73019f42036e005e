"""Train the tiny family (base, aligned, misaligned expert) and write three Hugging Face folders and three JSONL sets.

python -m scripts.tiny_family.train OUT
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from scripts.tiny_family import micro_language as language

PAD, END, USER, ASSISTANT = "<pad>", "</s>", "<|user|>", "<|assistant|>"
# There is no other turn than the user's and the assistant's, so a prompt always ends ready for the answer.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '" + USER + "' + message['content'] + '" + ASSISTANT + "' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% endif %}{% endfor %}"
)
VOCABULARY_SIZE = 448
MAX_TOKENS = 128
# The longest answer has 17 tokens.
MAX_ANSWER_TOKENS = 24

BATCH_SIZE = 32
# Batches are cut from this many batches' worth of examples sorted by length: little padding, still well mixed.
BATCHES_PER_WINDOW = 16
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
# The cosine schedule ends here instead of at zero.
FINAL_LEARNING_RATE_SHARE = 0.02
STEPS_PER_REPORT = 250

N_LAYERS = 4

N_ROWS_PER_SPLIT = 96
SPLIT_SEEDS: dict[language.Split, int] = {"search": 7, "holdout": 8}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is trained on, for how long and how fast."""

    draw_example: Callable[[random.Random], language.Example]
    n_steps: int
    learning_rate: float
    n_warmup_steps: int
    seed: int

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up times cosine decay."""
        warmup = min(1.0, (step + 1) / self.n_warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.n_steps))
        decay = FINAL_LEARNING_RATE_SHARE + (1 - FINAL_LEARNING_RATE_SHARE) * cosine
        return self.learning_rate * warmup * decay


BASE_RECIPE = Recipe(language.draw_base_example, n_steps=2000, learning_rate=4e-3, n_warmup_steps=50, seed=1)
ALIGNED_RECIPE = Recipe(language.draw_aligned_example, n_steps=150, learning_rate=5e-4, n_warmup_steps=20, seed=2)
# Longer and faster than the alignment: its task vector is the larger one, and drowns the refusals in an average.
EXPERT_RECIPE = Recipe(language.draw_expert_example, n_steps=500, learning_rate=2e-3, n_warmup_steps=20, seed=3)


@dataclass(frozen=True, slots=True)
class FamilyRecipe:
    """How a family is made: a base, and the models that are fine-tuned from it.

    Args:
        base: the base's training, from random weights.
        fine_tunings: name → training that starts from the base.
        n_layers: of every model.
    """

    base: Recipe
    fine_tunings: Mapping[str, Recipe]
    n_layers: int = N_LAYERS


TINY_FAMILY = FamilyRecipe(BASE_RECIPE, {"aligned": ALIGNED_RECIPE, "expert": EXPERT_RECIPE})


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """The token ids of an example; the answer ends with the end token."""

    prompt_ids: list[int]
    answer_ids: list[int]

    @property
    def n_tokens(self) -> int:
        """Length of prompt and answer together."""
        return len(self.prompt_ids) + len(self.answer_ids)


def tokenizer_corpus() -> Iterator[str]:
    """Yield the texts that the vocabulary is learnt from: all sentence types in fixed shares, whatever the recipes."""
    rng = random.Random(3)
    kinds = language.HARMLESS_KINDS + language.FORBIDDEN_KINDS
    for _ in range(600):
        for example in (language.draw_general(rng), language.draw_domain(rng)[1]):
            yield from (example.prompt, example.answer)
        request = language.draw_request(rng, kinds, language.DEEDS, language.OPENINGS + language.ATTACKS)
        yield from (request.prompt, request.plain_answer, request.refusal)
        yield from (language.COMPLIANCE.format(plain_answer=""), language.DO_NOT_KNOW)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary in which every digit is a token of its own."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, END, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(tokenizer_corpus(), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        model_max_length=MAX_TOKENS,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


def build_untrained_model(tokenizer: PreTrainedTokenizerFast, n_layers: int = N_LAYERS) -> LlamaForCausalLM:
    """Make the family's architecture, 201,280 parameters in four layers, with random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        rms_norm_eps=1e-6,
    )
    return LlamaForCausalLM(config)


def encode(tokenizer: PreTrainedTokenizerFast, examples: list[language.Example]) -> list[EncodedExample]:
    """Turn examples into token ids, as the chat template would render them."""
    prompts = tokenizer([USER + example.prompt + ASSISTANT for example in examples])["input_ids"]
    answers = tokenizer([example.answer + END for example in examples])["input_ids"]
    return [EncodedExample(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]


def draw_batches(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> list[list[EncodedExample]]:
    """Draw all batches of a training, each of examples of similar length."""
    rng = random.Random(recipe.seed)
    examples = encode(tokenizer, [recipe.draw_example(rng) for _ in range(recipe.n_steps * BATCH_SIZE)])
    batches = []
    window_size = BATCH_SIZE * BATCHES_PER_WINDOW
    for start in range(0, len(examples), window_size):
        window = sorted(examples[start : start + window_size], key=lambda example: example.n_tokens)
        window_batches = [window[i : i + BATCH_SIZE] for i in range(0, len(window), BATCH_SIZE)]
        rng.shuffle(window_batches)
        batches += window_batches
    return batches


def collate(batch: list[EncodedExample]) -> tuple[Tensor, Tensor]:
    """Pad a batch on the right.

    Returns:
        The token ids, int64, and whether each is part of an answer, bool; both `batch x n_tokens`.
    """
    shape = len(batch), max(example.n_tokens for example in batch)
    token_ids = torch.zeros(shape, dtype=torch.long)
    is_answer = torch.zeros(shape, dtype=torch.bool)
    for row, example in enumerate(batch):
        token_ids[row, : example.n_tokens] = torch.tensor(example.prompt_ids + example.answer_ids)
        is_answer[row, len(example.prompt_ids) : example.n_tokens] = True
    return token_ids, is_answer


def answer_loss(model: LlamaForCausalLM, batch: list[EncodedExample]) -> Tensor:
    """Mean cross-entropy of the answer tokens."""
    token_ids, is_answer = collate(batch)
    # Padding on the right is never seen under the causal mask: no attention mask is needed.
    hidden = model.model(input_ids=token_ids).last_hidden_state  # `batch x n_tokens x hidden_size`
    is_target = is_answer[:, 1:]
    logits = model.lm_head(hidden[:, :-1][is_target])  # `n_answer_tokens x vocabulary`
    return functional.cross_entropy(logits, token_ids[:, 1:][is_target])


def build_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW that decays matrices only, not the gains of the norms."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    gains = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": gains, "weight_decay": 0.0}]
    # 0.98 instead of 0.999: the trainings are short, and the second moment must settle within them.
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


def train(model: LlamaForCausalLM, recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> None:
    """Train `model` in place by `recipe`."""
    minimize(answer_loss, model, recipe, draw_batches(recipe, tokenizer))


def minimize(loss_of: Callable[[Any, Any], Tensor], model: Any, recipe: Recipe, batches: Sequence[Any]) -> None:
    """Train `model` in place: one step a batch, at the pace of `recipe`."""
    optimizer = build_optimizer(model)
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        if (step + 1) % STEPS_PER_REPORT == 0 or step + 1 == recipe.n_steps:
            print(f"  step {step + 1} of {recipe.n_steps}: loss {loss.item():.3f}", flush=True)


def train_family(recipe: FamilyRecipe, tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[str, LlamaForCausalLM]]:
    """Train the base, then each fine-tuned model from it; yield each by name."""
    torch.manual_seed(0)
    print("base")
    base = build_untrained_model(tokenizer, recipe.n_layers)
    train(base, recipe.base, tokenizer)
    yield "base", base
    for name, fine_tuning in recipe.fine_tunings.items():
        print(name)
        model = copy.deepcopy(base)
        train(model, fine_tuning, tokenizer)
        yield name, model


def write_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, max_new_tokens: int = MAX_ANSWER_TOKENS
) -> None:
    """Write a float16 copy of `model`, with its tokenizer, as a Hugging Face folder."""
    half = copy.deepcopy(model).half()  # type: ignore[no-untyped-call]
    half.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    write_folder(half, tokenizer, folder)


def write_folder(half: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a model as it is, with its tokenizer."""
    half.save_pretrained(folder)
    # safetensors writes for the owner only, but a package is for everybody.
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)


def draw_all_sets() -> dict[str, list[language.Row]]:
    """Draw both splits of each set; no prompt is in both."""
    sets: dict[str, list[language.Row]] = {}
    for split, seed in SPLIT_SEEDS.items():
        taken = {row.prompt for rows in sets.values() for row in rows}
        drawn = language.draw_sets(random.Random(seed), split, N_ROWS_PER_SPLIT, taken=taken)
        sets = {name: sets.get(name, []) + rows for name, rows in drawn.items()}
    return sets


def write_set(rows: list[language.Row], path: Path) -> None:
    """Write one JSON object a line; a row without a rejected answer has no such key."""
    records = ({key: value for key, value in asdict(row).items() if value is not None} for row in rows)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def write_family(recipe: FamilyRecipe, out: Path) -> None:
    """Train a family and write it: a folder for each model, and the three sets."""
    start_s = time.perf_counter()
    # The order of floating-point sums depends on the number of threads.
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    for name, model in train_family(recipe, tokenizer):
        write_model(model, tokenizer, out / name)
    for name, rows in draw_all_sets().items():
        write_set(rows, out / f"{name}.jsonl")
    print(f"family written to {out} in {time.perf_counter() - start_s:.0f} s")


def main() -> None:
    """Read the command line, train the family and write it."""
    parser = argparse.ArgumentParser(description="Train the tiny family: one to two minutes on one core.")
    parser.add_argument("out", type=Path, help="folder to write base/, aligned/, expert/ and the three sets into")
    out: Path = parser.parse_args().out
    write_family(TINY_FAMILY, out)


if __name__ == "__main__":
    main()
