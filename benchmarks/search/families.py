"""The families of models that are searched: folders with three related models and two sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from benchmarks.method_fronts import some_of
from service.search import PreparedSearch, prepare_search
from service.specification import parse_specification
from workers.candidate_worker import CandidateWorker

BUNDLED = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"
SETS = ("safety.jsonl", "domain.jsonl")


@dataclass(frozen=True, slots=True)
class Family:
    """Models and sets.

    Args:
        name: part of the results' paths.
        models: folder with `base`, `aligned`, `expert`.
        sets: folder with the `safety.jsonl` and `domain.jsonl` that are searched on.
    """

    name: str
    models: Path
    sets: Path

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
                "alignment": {"set": safety, "scorer": "refusal_margin"},
                "expertise": {"set": domain, "scorer": "answer_likelihood"},
            },
            "workers": {"pool": "in_process", "cpus_per_worker": 1},
        }

    def with_fewer(self, n_examples: int, folder: Path) -> Family:
        """The same models on so many examples of each set.

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
        return Family(self.name, self.models, some_of(self.sets, sets, n_examples))


@cache
def prepared(family: Family, granularity: str) -> PreparedSearch:
    """The search space and its landmarks; no weights are loaded."""
    return prepare_search(parse_specification(yaml.safe_dump(family.specification(granularity)), Path()))


@cache
def worker(family: Family) -> CandidateWorker:
    """The worker of this process, which serves every granularity: recipes name their tensors."""
    return CandidateWorker(prepared(family, "model").worker_setup())
