"""Evaluations of candidates by a process of their own, so that its memory is that of one kind of evaluation alone.

    python -m benchmarks.gradient_evaluations KIND FOLDERS N_EXAMPLES N_THREADS

KIND is `plain`, `gradient` or `checkpointed`; FOLDERS a JSON object: model name → folder, base first. For every line on
stdin, the path of a recipe as JSON, it answers with a line of JSON: the seconds, and the most memory that the process
has had beyond what it held when the model was loaded and the checkpoints were read.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from search_spaces import MergeRecipe
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.evaluation import Assignment, GradientRequest
from workers.example_set import read_examples

SETS = Path(__file__).parents[1] / "scripts" / "real_trio"
MEASURES = {"alignment": ("refusal_margin", "safety"), "expertise": ("answer_likelihood", "domain")}


def worker_of(kind: str, folders: dict[str, str], n_examples: int, n_threads: int) -> CandidateWorker:
    """A worker with two differentiable measures."""
    measures = {
        name: Measure(scorer, read_examples(SETS / f"{examples}.jsonl")[:n_examples])
        for name, (scorer, examples) in MEASURES.items()
    }
    setup = WorkerSetup(folders, measures, n_threads=n_threads, checkpoint_activations=kind == "checkpointed")
    return CandidateWorker(setup)


def assignment_of(kind: str, recipe: MergeRecipe) -> Assignment:
    """What the worker is asked."""
    names = tuple(MEASURES)
    return Assignment(recipe, names, gradient=None if kind == "plain" else GradientRequest(names))


def memory_bytes(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the most, since it was last reset)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def main() -> None:
    """Answer every line."""
    kind, folders, n_examples, n_threads = sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:5])
    worker, baseline = worker_of(kind, folders, n_examples, n_threads), 0
    for line in sys.stdin:
        assignment = assignment_of(kind, MergeRecipe.from_dict(json.loads(Path(line.strip()).read_text())))
        if not baseline:
            worker.candidate.make(assignment.recipe)
            Path("/proc/self/clear_refs").write_text("5")
            baseline = memory_bytes("VmRSS")
        started = time.perf_counter()
        found = worker.evaluate(assignment)
        seconds = time.perf_counter() - started
        assert found.succeeded, found.message
        assert len(found.gradients) == (0 if kind == "plain" else len(MEASURES)), found.gradient_failure
        print(json.dumps({"seconds": seconds, "peak_bytes": memory_bytes("VmHWM") - baseline}), flush=True)


if __name__ == "__main__":
    main()
