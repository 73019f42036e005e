"""Whether `paretomerge plan --config` is right: a random checkpoint of 1.1 B parameters, planned and then run.

The plan knows the configuration alone. A worker in a process of its own then loads a base and two experts, makes
candidates all of whose numbers are new each time, and scores one. What is compared is the most memory of the worker's
own (pages of files apart, which workers share) and the seconds of its candidates after the first. The plan times a
sample anew before every candidate, so that both see the same machine. Where others are at work on it, seconds by the
clock are theirs as well; those on the cores are the worker's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from benchmarks.candidate_process import CandidateProcess
from benchmarks.candidate_rounds import recipe_of
from benchmarks.random_checkpoints import write_family
from service.costs import Bandwidths, ModelPlan, PlannedWorkers, Speeds, measure_speeds, plan_model
from workers.cache_folder import FOLDER_VARIABLE
from workers.checkpoints.config_header import header_of_config

CONFIG = Path(__file__).parent / "shapes" / "llama-1b.json"
_EXPERTS = ("first", "second")
# What is promised, of memory and of time.
_TOLERANCE = 0.25
_GIB = 2**30


@dataclass(slots=True)
class Compared:
    """What was predicted and measured for one method."""

    plan: ModelPlan
    predicted_s: list[float] = field(default_factory=list)
    measured_s: list[float] = field(default_factory=list)
    predicted_cpu_s: list[float] = field(default_factory=list)
    measured_cpu_s: list[float] = field(default_factory=list)
    first_s: float = 0.0
    own_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is the same for all methods.

    Args:
        folder: of checkpoints, recipes and rankings.
        planned: the worker, of any method.
        rounds: of a prediction and a candidate.
    """

    folder: Path
    planned: PlannedWorkers
    rounds: int

    def compare(self, method: str) -> Compared:
        """Predict and measure, in turns."""
        folders = write_family(CONFIG, self.folder, _EXPERTS)
        planned, header = replace(self.planned, method=method), header_of_config(CONFIG)
        found = Compared(plan_model(header, planned, Speeds()))
        with CandidateProcess(self._command(folders)) as worker:
            found.first_s = worker.make_s(self._recipe_file(method, folders, 0))
            for turn in range(1, self.rounds + 1):
                speeds = measure_speeds(header, planned, planned.dtype, Bandwidths())
                plan = plan_model(header, planned, speeds)
                assert plan.time.make_s is not None
                assert speeds.rate is not None
                found.plan = plan
                found.predicted_s.append(plan.time.make_s)
                found.predicted_cpu_s.append(speeds.rate.cpu_s * header.n_parameters)
                found.measured_s.append(worker.make_s(self._recipe_file(method, folders, turn)))
                found.measured_cpu_s.append(worker.answer["cpu_seconds"])
            worker.make_s(Path("score"))
            found.own_bytes, found.total_bytes = worker.peak_bytes, int(worker.answer["total_bytes"])
        return found

    def _command(self, folders: dict[str, Path]) -> list[str]:
        given = {name: str(folder.resolve()) for name, folder in folders.items()}
        numbers = (self.planned.n_threads, self.planned.dtype, self.planned.max_batch_tokens)
        return [sys.executable, "-m", "benchmarks.large_model_worker", json.dumps(given), *map(str, numbers)]

    def _recipe_file(self, method: str, folders: dict[str, Path], turn: int) -> Path:
        resolved = {name: folder.resolve() for name, folder in folders.items()}
        recipe = replace(recipe_of(method, resolved, turn), dtype=self.planned.dtype)
        path = self.folder / f"recipe-{turn}.json"
        path.write_text(json.dumps(recipe.to_dict()))
        return path


def _lines(method: str, found: Compared) -> list[str]:
    predicted, own = found.plan.memory.host_bytes, found.own_bytes
    sorting = f", of which {found.plan.first_s:.0f} s to sort were predicted" if found.plan.first_s else ""
    times = _times(method, "make, s", found.predicted_s, found.measured_s)
    return [
        f"{method:16} {'own memory, GiB':15} {predicted / _GIB:20.2f} {own / _GIB:20.2f} {_verdict(predicted, own)}"
        f"   ({found.total_bytes / _GIB:.1f} with the pages of files)",
        f"{times}   (the first {found.first_s:.0f} s{sorting})",
        _times(method, "on the cores, s", found.predicted_cpu_s, found.measured_cpu_s),
    ]


def _times(method: str, what: str, predicted: list[float], measured: list[float]) -> str:
    verdict = _verdict(median(predicted), median(measured))
    return f"{method:16} {what:15} {_spread(predicted):>20} {_spread(measured):>20} {verdict}"


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} .. {max(seconds):.2f})"


def _verdict(predicted: float, measured: float) -> str:
    ratio = predicted / measured
    return f"{ratio:5.2f} {'kept' if abs(ratio - 1) <= _TOLERANCE else 'missed':6}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=["task_arithmetic", "ties"])
    parser.add_argument("--dtype", default="bfloat16", help="of candidates; float32 takes twice the memory")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=Path("build/large-model"), help="22 GB with rankings")
    return parser.parse_args()


def _load() -> float:
    """Processes that want a core, over the last minute."""
    return os.getloadavg()[0]


def main() -> None:
    """Print three lines for each method."""
    arguments = _arguments()
    rankings = arguments.folder / "cache"
    os.environ[FOLDER_VARIABLE] = str(rankings.resolve())
    # Sorted anew: that takes the most memory, and is to be measured.
    shutil.rmtree(rankings, ignore_errors=True)
    planned = PlannedWorkers(
        n_experts=len(_EXPERTS),
        dtype=arguments.dtype,
        n_threads=arguments.threads,
        max_batch_tokens=arguments.batch_tokens,
    )
    header = header_of_config(CONFIG)
    print(
        f"{header.n_parameters / 1e9:.2f} B parameters, a base and {len(_EXPERTS)} experts in bfloat16, candidates in "
        f"{planned.dtype}, {planned.n_threads} threads, batches of {planned.max_batch_tokens} tokens; "
        f"load {_load():.1f} on {os.cpu_count()} cores"
    )
    print(f"{'method':16} {'':15} {'predicted':>20} {'measured':>20} ratio within 25 %")
    comparison = Comparison(arguments.folder, planned, arguments.rounds)
    for method in arguments.methods:
        print("\n".join(_lines(method, comparison.compare(method))), flush=True)
    print(f"load {_load():.1f} at the end")
    shutil.rmtree(rankings, ignore_errors=True)


if __name__ == "__main__":
    main()
