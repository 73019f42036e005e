"""The families of models that are searched: folders with three related models and two sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from benchmarks.method_fronts import VERDICTS, some_of
from service.search import PreparedSearch, prepare_search
from service.specification import parse_specification
from workers.candidate_worker import CandidateWorker, Measure
from workers.example_set import of_split, read_examples

BUNDLED = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
SETS = ("safety.jsonl", "domain.jsonl")


@dataclass(frozen=True, slots=True)
class Family:
    """Models and sets.

    Args:
        name: part of the results' paths.
        models: folder with `base`, `aligned`, `expert`.
        sets: folder with the `safety.jsonl` and `domain.jsonl` that are searched on.
        verdict: folder with those that judge, by their holdout; None: the same.
    """

    name: str
    models: Path
    sets: Path
    verdict: Path | None = None

    def specification(self, granularity: str) -> dict[str, object]:
        """The search, as a person would write it; one thread, for runs stand side by side."""
        safety, domain = (str(self.sets / name) for name in SETS)
        return {
            "name": f"bench-{self.name}-{granularity}",
            "models": {
                "base": str(self.models / "base"),
                "experts": {name: str(self.models / name) for name in ("aligned", "expert")},
            },
            "space": {"method": "task_arithmetic", "granularity": granularity, "weight": [0.0, 1.5]},
            "objectives": {
                "alignment": {"set": safety, "scorer": "answer_likelihood"},
                "expertise": {"set": domain, "scorer": "answer_likelihood"},
            },
            "workers": {"pool": "in_process", "cpus_per_worker": 1},
        }

    def with_fewer(self, n_examples: int, folder: Path) -> Family:
        """The same models searched on so many examples of each set, and judged on what was held out of the whole.

        Raises:
            ValueError: what lies in `folder` was searched on another number of examples.
        """
        sets = folder / f"{self.name}-{n_examples}-sets"
        others = [path.name for path in folder.glob(f"{self.name}-*-sets") if path != sets]
        if others:
            raise ValueError(
                f"All trials of a family must be scored on the same examples, but '{folder}' has {', '.join(others)} "
                f"and {n_examples} are wanted. Give another --results, or remove these and {self.name}'s trials."
            )
        return Family(self.name, self.models, some_of(self.sets, sets, n_examples), self.verdict or self.sets)

    def held_out(self) -> dict[str, Measure]:
        """What judges a merge, on examples that no search saw."""
        folder = self.verdict or self.sets
        return {
            name: Measure(scorer, of_split(read_examples(folder / file), "holdout"))
            for name, (file, scorer) in VERDICTS.items()
        }


@cache
def prepared(family: Family, granularity: str) -> PreparedSearch:
    """The search space and its landmarks; no weights are loaded."""
    return prepare_search(parse_specification(yaml.safe_dump(family.specification(granularity)), Path()))


@cache
def worker(family: Family) -> CandidateWorker:
    """The worker of this process, which serves every granularity, for recipes name their tensors, and the verdict."""
    setup = prepared(family, "model").worker_setup()
    # A measure is prepared when it is first asked for: what only searches loses nothing by it.
    return CandidateWorker(replace(setup, measures={**setup.measures, **family.held_out()}))
