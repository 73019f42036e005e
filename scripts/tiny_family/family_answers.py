"""What merges of the tiny family answer: the exchanges that judges learn from and are measured on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from scripts.tiny_family import companion_language as companions
from scripts.tiny_family.train import MAX_ANSWER_TOKENS
from workers.inference_engines import GenerationOptions
from workers.inference_engines.opening import load_engine

NAMES = ("base", "aligned", "expert")
# Of the prompts; each kind of key has its own, so that its draws do not change with the other's.
SEED = {False: 10, True: 9}


def answered_by_merges(
    folder: Path, merges: Sequence[tuple[float, float]], n_per_merge: int, *, held_out: bool
) -> Iterator[companions.Exchange]:
    """Yield prompts of all kinds with the greedy answers of task-arithmetic merges.

    Args:
        folder: of the family.
        merges: the weights of the aligned model and the expert.
        n_per_merge: how many prompts each merge answers.
        held_out: whether the prompts are of held-out keys.
    """
    engines = [load_engine(str(folder / name), "float32", "cpu") for name in NAMES]
    live, *tuned = (engine.model.state_dict() for engine in engines)
    base = {name: tensor.clone() for name, tensor in live.items()}
    rng = random.Random(SEED[held_out])
    for weights in merges:
        for name, tensor in live.items():
            vectors = [weight * (model[name] - base[name]) for weight, model in zip(weights, tuned, strict=True)]
            tensor.copy_(base[name] + torch.stack(vectors).sum(0))
        asked = [companions.draw_asked(rng, held_out=held_out) for _ in range(n_per_merge)]
        answers = engines[0].generate([each.prompt for each in asked], GenerationOptions(MAX_ANSWER_TOKENS))
        for each, answer in zip(asked, answers, strict=True):
            yield companions.Exchange(each.prompt, answer, each.risky_deed)
