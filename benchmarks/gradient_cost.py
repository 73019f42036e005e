"""What a gradient costs beside a plain evaluation: seconds in alternating rounds, and peak memory, each in a process.

    python -m benchmarks.gradient_cost [FOLDER]

FOLDER holds checkpoints in `base`, `aligned` and `expert`, such as build/real-trio; without it, random ones of
SmolLM2-135M's shape are made, with the tokenizer of the bundled tiny family.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.candidate_process import CandidateProcess
from benchmarks.candidate_rounds import recipe_of
from search_spaces.merge_recipe import BASE

# What is promised: the seconds of an evaluation with gradients, in plain ones.
LIMIT = 3.5
KINDS = ("plain", "gradient", "checkpointed")
MODELS = (BASE, "aligned", "expert")
FAMILY = Path(__file__).parents[1] / "service" / "demo" / "tiny_family"
_SMOLLM2_135M: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def random_trio(to: Path) -> None:
    """Three random checkpoints in bfloat16, one beside the other."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model: Any = LlamaForCausalLM(LlamaConfig(**_SMOLLM2_135M))
    model.to(torch.bfloat16)
    for seed, name in enumerate(MODELS):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.002 * torch.randn_like(parameter))
        model.save_pretrained(to / name)
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            if (FAMILY / BASE / file).is_file():
                shutil.copyfile(FAMILY / BASE / file, to / name / file)


def measure(folders: Mapping[str, Path], method: str, options: argparse.Namespace, to: Path) -> dict[str, Any]:
    """Kind → the seconds of every round, and the peak."""
    names = json.dumps({name: str(folder) for name, folder in folders.items()})
    found: dict[str, Any] = {kind: ([], 0) for kind in KINDS}
    with ExitStack() as stack:
        arguments = [names, str(options.examples), str(options.threads)]
        module = [sys.executable, "-m", "benchmarks.gradient_evaluations"]
        processes = {kind: stack.enter_context(CandidateProcess([*module, kind, *arguments])) for kind in KINDS}
        for turn in range(options.rounds + 1):
            recipe = replace(recipe_of(method, folders, turn), dtype="float32")
            path = to / "recipe.json"
            path.write_text(json.dumps(recipe.to_dict()))
            for kind, process in processes.items():
                seconds = process.make_s(path)
                # The first one maps and ranks.
                times = [*found[kind][0], seconds] if turn else []
                found[kind] = (times, process.peak_bytes)
    return found


def show(method: str, found: Mapping[str, Any]) -> float:
    """Print a line for each kind; the ratio of the gradient's seconds."""
    plain_s, plain_bytes = found["plain"]
    ratios: dict[str, float] = {}
    for kind in KINDS:
        seconds, peak_bytes = found[kind]
        rounds = [mine / theirs for mine, theirs in zip(seconds, plain_s, strict=True)]
        ratios[kind] = median(rounds)
        print(
            f"{method:16} {kind:13} {median(seconds):7.1f} {ratios[kind]:6.2f} {min(rounds):5.2f}-{max(rounds):<5.2f} "
            f"{peak_bytes / 2**20:8.0f} {peak_bytes / plain_bytes:6.2f}",
            flush=True,
        )
    return ratios["gradient"]


def main() -> None:
    """Measure every method, and say whether the limit was kept."""
    parser = argparse.ArgumentParser(description="Cost of an evaluation with gradients beside a plain one.")
    parser.add_argument("folder", type=Path, nargs="?", help="of `base`, `aligned` and `expert`")
    parser.add_argument("--methods", nargs="+", default=["task_arithmetic", "ties"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=32, help="of each of two sets")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        if options.folder is None:
            random_trio(folder)
        folders = {model: folder / model for model in MODELS}
        print(f"{'method':16} {'evaluation':13} {'s':>7} {'ratio':>6} {'(range)':11} {'peak MiB':>8} {'ratio':>6}")
        ratios = [show(method, measure(folders, method, options, Path(name))) for method in options.methods]
    kept = max(ratios) <= LIMIT
    print(f"highest ratio of seconds {max(ratios):.2f}: {'kept' if kept else 'MISSED'} (limit {LIMIT})")


if __name__ == "__main__":
    main()
