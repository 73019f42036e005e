"""The time to make a candidate, as a multiple of what the memory allows.

The limit is (K + 2) / 2 times one `torch.copy_` of the whole model's bytes: K experts and the base are read and
the candidate is written, where a copy reads one model and writes one. Both are taken in the same rounds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from search_spaces import METHOD_SIGNATURES, SearchSpace, SpaceOptions
from search_spaces.merge_recipe import BASE, MergeRecipe
from workers.checkpoints import MappedCheckpoint
from workers.live_candidate import LiveCandidate

# What is promised, at K = 2 in bfloat16.
LIMITS = {"linear": 2.5, "task_arithmetic": 2.5, "ties": 8.0}


def make_checkpoints(folder: Path, n_experts: int, shape: dict[str, Any]) -> dict[str, Path]:
    """Random checkpoints of SmolLM2-135M's shape: a base and experts a little way from it, in bfloat16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(**shape, tie_word_embeddings=True, dtype=torch.bfloat16)
    model: Any = LlamaForCausalLM(config)
    model.to(torch.bfloat16)
    folders = {BASE: folder / BASE} | {f"expert{k}": folder / f"expert{k}" for k in range(n_experts)}
    originals = [parameter.detach().clone() for parameter in model.parameters()]
    for name, target in folders.items():
        for parameter, original in zip(model.parameters(), originals, strict=True):
            noise = 0.0 if name == BASE else 1e-3
            parameter.data.copy_(original).add_(torch.randn_like(parameter), alpha=noise)
        model.save_pretrained(target)
    return folders


def recipe_of(method: str, folders: dict[str, Path], names: tuple[str, ...]) -> MergeRecipe:
    """A recipe whose coefficients differ from layer to layer."""
    experts = {name: str(folder) for name, folder in folders.items() if name != BASE}
    if METHOD_SIGNATURES[method].n_models == 2:
        experts = dict(list(experts.items())[:1])
    space = SearchSpace(str(folders[BASE]), experts, names, SpaceOptions(method, "layer"))
    return space.decode({name: 0.3 + 0.4 * (i % 7) / 7 for i, name in enumerate(space.distributions())})


def timed_s(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(method: str, folders: dict[str, Path], rounds: int) -> tuple[list[float], list[float], float]:
    """Seconds of the copies and of the merges, in turn; and of the first merge."""
    from transformers import AutoModelForCausalLM

    checkpoints = {name: MappedCheckpoint(folder) for name, folder in folders.items()}
    recipe = recipe_of(method, folders, checkpoints[BASE].header.merged_names)
    used = {name: checkpoints[name] for name in recipe.folders}
    candidate = LiveCandidate(AutoModelForCausalLM.from_pretrained(folders[BASE], dtype=torch.bfloat16), used)
    n_elements = sum(parameter.numel() for parameter in candidate.model.parameters())
    source, target = (torch.zeros(n_elements, dtype=torch.bfloat16) for _ in range(2))
    target.copy_(source)
    first_s = timed_s(lambda: candidate.make(recipe))
    candidate.make(recipe)
    copies, merges = [], []
    for _ in range(rounds):
        copies.append(timed_s(lambda: target.copy_(source)))
        merges.append(timed_s(lambda: candidate.make(recipe)))
    return copies, merges, first_s


def main() -> None:
    """Print one line per method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experts", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", type=int, default=30)
    arguments = parser.parse_args()
    shape = {
        "hidden_size": 576,
        "num_hidden_layers": arguments.layers,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "vocab_size": 49152,
    }
    disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-bench-"))
    try:
        folders = make_checkpoints(folder, arguments.experts, shape)
        print(f"{torch.get_num_threads()} threads, bfloat16, {arguments.layers} layers of SmolLM2-135M's shape")
        print("method           models  limit ms  make ms      (min .. max)  x limit  promised  first s")
        for method in METHOD_SIGNATURES:
            print(_line(method, folders, arguments.rounds), flush=True)
    finally:
        shutil.rmtree(folder)


def _line(method: str, folders: dict[str, Path], rounds: int) -> str:
    copies, merges, first_s = measure(method, folders, rounds)
    n_models = 2 if METHOD_SIGNATURES[method].n_models == 2 else len(folders)
    # SLERP of a pair reads two models; the others K experts and the base. Each writes one.
    limit_s = (n_models + 1) / 2 * median(copies)
    promised = f"<= {LIMITS[method]:g}" if method in LIMITS else ""
    spread = f"({min(merges) * 1e3:.0f} .. {max(merges) * 1e3:.0f})"
    return (
        f"{method:16} {n_models:>6} {limit_s * 1e3:9.1f} {median(merges) * 1e3:8.1f} {spread:>16} "
        f"{median(merges) / limit_s:8.2f} {promised:>9} {first_s:8.2f}"
    )


if __name__ == "__main__":
    main()
