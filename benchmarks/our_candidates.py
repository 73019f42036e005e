"""Candidates made here, by a process of their own, so that its memory is that of merging alone.

    python -m benchmarks.our_candidates FOLDERS N_THREADS

FOLDERS is a JSON object: model name → folder, base first. For every line on stdin, the path of a recipe as JSON, it
answers with a line of JSON: the seconds, and the most memory that the process has had.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from search_spaces import MergeRecipe
from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint
from workers.live_candidate import LiveCandidate


def main() -> None:
    """Answer every line."""
    folders = json.loads(sys.argv[1])
    torch.set_num_threads(int(sys.argv[2]))
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModelForCausalLM.from_pretrained(folders[BASE], dtype=torch.bfloat16)
    candidate = LiveCandidate(model, {name: MappedCheckpoint(folder) for name, folder in folders.items()})
    for line in sys.stdin:
        recipe = MergeRecipe.from_dict(json.loads(Path(line.strip()).read_text()))
        started = time.perf_counter()
        candidate.make(recipe)
        seconds = time.perf_counter() - started
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes}), flush=True)


if __name__ == "__main__":
    main()
