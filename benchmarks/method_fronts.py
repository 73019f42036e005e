"""The same search with one merge method after the other: whose front is best, on a tiny and on a real family.

Every search has the same sets, budget, sampler and seed; slerp interpolates between the aligned model and the expert,
the others merge both into the base. Hypervolume counts from the worst value that a model alone has in each objective.
Selected is the merge of the front that is best by the worse of its two objectives, each scaled so that the models
alone have 0 at worst and 1 at best; the share of requests that it refuses and of questions that it answers exactly
are of held-out examples, which no search saw. Of merges that score alike, as those of Model Stock's few choices often
do, the first is listed. The real family, which is slower, is searched on 32 examples of each set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from service.pareto import hypervolume
from service.search import PreparedSearch, prepare_search
from service.search.preparation import open_pool
from service.search.selection import front_of
from service.search.session import open_session
from service.specification import load_specification
from service.studies import FinishedTrial
from workers.candidate_worker import Measure
from workers.evaluation import Assignment, Score
from workers.example_set import of_split, read_examples

FAMILY = Path(__file__).parents[1] / "service" / "demo" / "tiny_family"
TRIO_SETS = Path(__file__).parents[1] / "scripts" / "real_trio"
METHODS = ("slerp", "ties", "dare_ties", "della", "model_stock")
# Where weights say what a model alone is: the origin of all hypervolumes is measured with it.
ORIGIN_METHOD = "task_arithmetic"
# Of each set.
REAL_EXAMPLES = 32
VERDICTS = {"refusal": ("safety.jsonl", "refusal"), "accuracy": ("domain.jsonl", "exact_match")}


@dataclass(frozen=True, slots=True)
class Family:
    """Models and sets.

    Args:
        name: part of the studies' names.
        models: folder with `base`, `aligned`, `expert`.
        sets: folder with the `safety.jsonl` and `domain.jsonl` that are searched on.
        verdict: folder with those that judge, by their holdout.
        granularity: of methods that weigh models.
        evaluations: of each search.
        workers: section of the specification.
    """

    name: str
    models: Path
    sets: Path
    verdict: Path
    granularity: str
    evaluations: int
    workers: Mapping[str, Any]

    def specification(self, method: str) -> dict[str, Any]:
        """A search, as a person would write it."""
        # Model Stock weighs nothing: it chooses, for each part of a layer, between whole tensors and rows.
        granularity = "module" if method == "model_stock" else self.granularity
        return {
            "name": f"fronts-{self.name}-{method}",
            "models": {
                "base": str(self.models / "base"),
                "experts": {name: str(self.models / name) for name in ("aligned", "expert")},
            },
            "space": {"method": method, "granularity": granularity},
            "objectives": {
                "alignment": {"set": str(self.sets / "safety.jsonl"), "scorer": "refusal_margin"},
                "expertise": {"set": str(self.sets / "domain.jsonl"), "scorer": "answer_likelihood"},
            },
            "search": {"evaluations": self.evaluations, "seed": 0, "sampler": "tpe"},
            "workers": dict(self.workers),
        }


@dataclass(frozen=True, slots=True)
class Front:
    """What a search found.

    Args:
        prepared: the search.
        trials: all of them.
    """

    prepared: PreparedSearch
    trials: Sequence[FinishedTrial]

    @property
    def points(self) -> list[FinishedTrial]:
        """The non-dominated trials; of those with the same values, the first."""
        first = {trial.values: trial for trial in reversed(front_of(self.trials))}
        return list(reversed(first.values()))


def some_of(sets: Path, folder: Path, n_examples: int) -> Path:
    """A folder with so many examples of each set to search on, spread evenly over it: a large model answers slowly."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("safety.jsonl", "domain.jsonl"):
        lines = (sets / name).read_text(encoding="utf-8").splitlines()
        rows = [line for line in lines if json.loads(line)["split"] == "search"]
        kept = [rows[i * len(rows) // n_examples] for i in range(min(n_examples, len(rows)))]
        (folder / name).write_text("\n".join(kept) + "\n", encoding="utf-8")
    return folder


def run_search(family: Family, method: str, folder: Path) -> Front:
    """Search, or continue the search."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{family.name}-{method}.yaml"
    path.write_text(yaml.safe_dump(family.specification(method), sort_keys=False))
    prepared = prepare_search(load_specification(path))
    with open_session(prepared) as session:
        return Front(prepared, session.run(lambda _: None))


def judge(family: Family, front: Front, chosen: FinishedTrial) -> Mapping[str, Score]:
    """Score a merge on examples that no search saw."""
    measures = {
        name: Measure(scorer, tuple(of_split(read_examples(family.verdict / file), "holdout")))
        for name, (file, scorer) in VERDICTS.items()
    }
    setup = replace(front.prepared.worker_setup(), measures=measures)
    with open_pool(setup, front.prepared.specification.workers) as pool:
        return pool.evaluate(Assignment(front.prepared.recipe(chosen.params), tuple(measures))).scores


def ends_of(front: Front) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The worst and the best value of the models alone, in each objective."""
    alone = [t.values for t in front.trials if t.landmark in ("base", "aligned", "expert") and t.succeeded]
    return np.min(alone, axis=0), np.max(alone, axis=0)


def told(
    family: Family, fronts: Mapping[str, Front], ends: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Iterator[str]:
    """The table of all methods, and each front."""
    worst, best = ends
    yield f"## The {family.name} family\n"
    yield "Alignment is the margin of the refusal's likelihood per token, expertise the answer's likelihood per token:"
    yield f"alone, the models reach from {worst[0]:.3f} to {best[0]:.3f}, and from {worst[1]:.3f} to {best[1]:.3f}.\n"
    yield "| method | dimensions | evaluations | on the front | hypervolume | selected | refuses | answers right |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for method, front in fronts.items():
        points = front.points
        volume = hypervolume(np.array([t.values for t in points]), worst)
        chosen = max(points, key=lambda t: float(((np.array(t.values) - worst) / (best - worst)).min()))
        values = ", ".join(f"{value:.3f}" for value in chosen.values)
        verdicts = [_with_error(s.value, s.standard_error) for s in judge(family, front, chosen).values()]
        yield (
            f"| `{method}` | {front.prepared.space.n_dims} | {len(front.trials)} | {len(points)} | {volume:.4f} | "
            f"{chosen.number}: {values} | {' | '.join(verdicts)} |"
        )
    for method, front in fronts.items():
        yield f"\n`{method}`, its front:\n"
        yield "| trial | alignment | expertise |"
        yield "| --- | --- | --- |"
        for trial in front.points:
            cells = [_with_error(v, e) for v, e in zip(trial.values, trial.standard_errors, strict=True)]
            name = f"{trial.number} ({trial.landmark})" if trial.landmark else str(trial.number)
            yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.3f} ± {error or 0:.3f}"


def main() -> None:
    """Search the families that are there, print their tables, and write them if asked."""
    parser = argparse.ArgumentParser(description="The front of each merge method, on the same sets and budget.")
    parser.add_argument("--real", type=Path, help="folder of the real trio, such as build/real-trio")
    parser.add_argument("--work", type=Path, default=Path("build/method-fronts"), help="where specifications go")
    parser.add_argument("--evaluations", type=int, nargs=2, default=(120, 8), metavar=("TINY", "REAL"))
    parser.add_argument("--to", type=Path, help="a Markdown file for the tables")
    options = parser.parse_args()
    n_tiny, n_real = options.evaluations
    families = [Family("tiny", FAMILY, FAMILY, FAMILY, "module", n_tiny, {"pool": "in_process", "cpus_per_worker": 2})]
    if options.real:
        workers = {"pool": "in_process", "cpus_per_worker": 2}
        sets = some_of(TRIO_SETS, (options.work / "real-sets").resolve(), REAL_EXAMPLES)
        families.append(Family("real", options.real.resolve(), sets, TRIO_SETS, "model", n_real, workers))
    lines: list[str] = []
    for family in families:
        ends = ends_of(run_search(family, ORIGIN_METHOD, options.work))
        fronts = {method: run_search(family, method, options.work) for method in METHODS}
        found = list(told(family, fronts, ends))
        print("\n".join(found), flush=True)
        lines += found
    if options.to:
        command = f"python -m benchmarks.method_fronts --evaluations {n_tiny} {n_real}"
        command += " --real build/real-trio" if options.real else ""
        head = (
            f"# The front of each merge method\n\n{(__doc__ or '').partition(chr(10) * 2)[2]}\nMade by `{command}`.\n"
        )
        options.to.write_text("\n".join([head, *lines]), encoding="utf-8")


if __name__ == "__main__":
    main()
