"""A real worker in a process of its own, so that its memory can be told: it makes candidates, and scores one.

    python -m benchmarks.large_model_worker FOLDERS N_THREADS DTYPE MAX_BATCH_TOKENS

FOLDERS is a JSON object: model name → folder, base first. For every line on stdin, the path of a recipe as JSON or the
word `score`, it answers with a line of JSON: the seconds, by the clock and on the cores; the most memory of its own
that it has had (`peak_bytes`: anonymous pages, which no other process shares) and with the pages of files
(`total_bytes`).
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from threading import Thread

from search_spaces import MergeRecipe
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.example_set import of_split, read_examples

_SET = Path(__file__).parents[1] / "service" / "demo" / "tiny_family" / "domain.jsonl"
_N_EXAMPLES = 32
# A sort's temporaries live for seconds, a batch's logits for some tenths of one.
_SAMPLED_EACH_S = 0.005


class OwnMemory:
    """The most anonymous memory that this process has had since it was made."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while True:
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text())
            assert found is not None
            self.peak_bytes = max(self.peak_bytes, int(found.group(1)) * 1024)
            time.sleep(_SAMPLED_EACH_S)


def main() -> None:
    """Answer every line."""
    memory = OwnMemory()
    folders, n_threads, dtype, max_batch_tokens = sys.argv[1:]
    measures = {"score": Measure("answer_likelihood", of_split(read_examples(_SET), "search")[:_N_EXAMPLES])}
    worker = CandidateWorker(
        WorkerSetup(
            json.loads(folders), measures, dtype, n_threads=int(n_threads), max_batch_tokens=int(max_batch_tokens)
        )
    )
    for line in map(str.strip, sys.stdin):
        recipe = None if line == "score" else MergeRecipe.from_dict(json.loads(Path(line).read_text()))
        started, on_cores = time.perf_counter(), time.process_time()
        if recipe is None:
            worker.scorer("score").score()
        else:
            worker.candidate.make(recipe)
        answer = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - on_cores,
            "peak_bytes": memory.peak_bytes,
            "total_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
