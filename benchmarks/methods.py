"""The time to make a candidate: as a multiple of what the memory allows, and beside mergekit's in-memory path.

The limit is (K + 2) / 2 times one `torch.copy_` of the whole model's bytes: K experts and the base are read and
the candidate is written, where a copy reads one model and writes one. mergekit is run as mergekit-evolve runs it:
planned, executed and copied into a live model, in bfloat16. All three take turns in the same rounds, on the same
number of threads, with the checkpoints in the page cache; no candidate has a coefficient of the one before.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from benchmarks.candidate_rounds import Rounds, Timings
from search_spaces import METHOD_SIGNATURES, MethodSignature
from search_spaces.merge_recipe import BASE
from search_spaces.method_signature import BaseRole

# What is promised at K = 2 in bfloat16: of the limit, and of mergekit's time.
LIMITS = {"linear": 2.5, "task_arithmetic": 2.5, "ties": 8.0}
RATIOS = {"linear": 8, "task_arithmetic": 8, "slerp": 10, "ties": 40, "dare_ties": 40}

_HEAD = (
    f"{'method':16} {'limit ms':>8} {'ours ms':>8} {'(min .. max)':>15} {'x limit':>7} {'promised':>8} "
    f"{'same densities ms':>17} {'first s':>7} {'mergekit ms':>11} {'ratio':>7} {'promised':>8} "
    f"{'ours MiB':>8} {'mergekit MiB':>12}"
)


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="only these")
    parser.add_argument("--experts", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--mergekit", type=Path, default=Path(".venv-mergekit/bin/python"), help="its interpreter")
    parser.add_argument("--peer-rounds", type=int, default=5, help="of mergekit, the first is to warm up")
    parser.add_argument("--peer-budget-s", type=float, default=60.0, help="of mergekit per method; one round at least")
    return parser.parse_args()


def main() -> None:
    """Print one line per method."""
    arguments = _arguments()
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
        rounds = Rounds(
            folders, folder, arguments.rounds, _peer(arguments), arguments.peer_rounds, arguments.peer_budget_s
        )
        shared = _methods_of(rounds.peer)
        print(_HEAD)
        for method in arguments.methods or METHOD_SIGNATURES:
            if not METHOD_SIGNATURES[method].all_parameters:
                print(f"{method:16} takes no numbers: there is one such merge, and no other candidate to time")
                continue
            print(_line(method, rounds.measure(method, with_peer=method in shared), arguments.experts), flush=True)
    finally:
        shutil.rmtree(folder)


def _peer(arguments: argparse.Namespace) -> Path | None:
    if arguments.mergekit.exists():
        return Path(arguments.mergekit)
    print(f"without mergekit, which is not at {arguments.mergekit}: make .venv-mergekit/.installed")
    return None


def _methods_of(peer: Path | None) -> list[str]:
    """What mergekit merges."""
    if peer is None:
        return []
    code = "import json; from mergekit.merge_methods.registry import registered_methods as all_methods; "
    code += "print(json.dumps([method.spec.name for method in all_methods()]))"
    names: list[str] = json.loads(subprocess.run([peer, "-c", code], check=True, capture_output=True).stdout)
    return names


def _line(method: str, found: Timings, n_experts: int) -> str:
    limit_s, ours_s = (_n_read(METHOD_SIGNATURES[method], n_experts) + 1) / 2 * median(found.copies), median(found.ours)
    spread = f"({min(found.ours) * 1e3:.0f} .. {max(found.ours) * 1e3:.0f})"
    limit = f"<= {LIMITS[method]:g}" if method in LIMITS else ""
    same = f"{median(found.same_densities) * 1e3:.1f}" if found.same_densities else ""
    return (
        f"{method:16} {limit_s * 1e3:8.1f} {ours_s * 1e3:8.1f} {spread:>15} {ours_s / limit_s:7.2f} {limit:>8} "
        f"{same:>17} {found.first_s:7.2f} {_beside(method, found, ours_s)}"
    ).rstrip()


def _n_read(signature: MethodSignature, n_experts: int) -> int:
    """How many models a candidate is made of: of a pair two, else K experts and, where it takes part, the base."""
    if signature.merges_a_pair:
        return 2
    return min(n_experts, signature.max_experts or n_experts) + (signature.base is not BaseRole.ABSENT)


def _beside(method: str, found: Timings, ours_s: float) -> str:
    if not found.peer:
        return f"{'':11} {'':7} {'':8} {found.our_peak_bytes / 2**20:8.0f}"
    # The first is to warm up, where there are more.
    peer_s = median(found.peer[1:] or found.peer)
    promised = f">= {RATIOS[method]}" if method in RATIOS else ""
    memory = f"{found.our_peak_bytes / 2**20:8.0f} {found.peer_peak_bytes / 2**20:12.0f}"
    return f"{peer_s * 1e3:11.0f} {peer_s / ours_s:7.1f} {promised:>8} {memory}"


if __name__ == "__main__":
    main()
