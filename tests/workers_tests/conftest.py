"""The bundled tiny family, as every test of the workers uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import MergeRecipe
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.checkpoints import read_header
from workers.example_set import of_split, read_examples
from workers.scorers import SCORERS

FAMILY = Path(__file__).parents[2] / "service" / "demo" / "tiny_family"

MakeRecipe = Callable[..., MergeRecipe]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """In layers this small, threads that wait for each other cost more than they gain; on a busy machine by far."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def family() -> Path:
    return FAMILY


@pytest.fixture(scope="session")
def models() -> dict[str, str]:
    return {name: str(FAMILY / name) for name in (BASE, "aligned", "expert")}


@pytest.fixture(scope="session")
def measures() -> dict[str, Measure]:
    """Every scorer over the first examples of the safety set."""
    examples = of_split(read_examples(FAMILY / "safety.jsonl"), "search")[:24]
    return {scorer: Measure(scorer, examples) for scorer in SCORERS}


@pytest.fixture(scope="session")
def setup(models: dict[str, str], measures: dict[str, Measure]) -> WorkerSetup:
    return WorkerSetup(models, measures)


@pytest.fixture(scope="session")
def worker(setup: WorkerSetup) -> CandidateWorker:
    """A worker in this process, in float32; each test makes its own candidate."""
    return CandidateWorker(setup)


@pytest.fixture(scope="session")
def make_recipe(models: dict[str, str]) -> MakeRecipe:
    """Recipes of the family with one group: parameters as keywords, one number or a number per model."""
    names = read_header(models[BASE]).merged_names

    def make(
        method: str,
        *,
        seed: int = 0,
        normalize: bool = False,
        dtype: str = "float32",
        **parameters: float | Mapping[str, float],
    ) -> Any:
        def values(model: str) -> dict[str, float]:
            return {name: v[model] if isinstance(v, Mapping) else v for name, v in parameters.items()}

        experts = {name: folder for name, folder in models.items() if name != BASE}
        coefficients = {model: {"all": values(model)} for model in models if model != BASE or method == "linear"}
        return MergeRecipe(
            method=method,
            base=models[BASE],
            experts=experts,
            groups={"all": names},
            coefficients=coefficients,
            normalize=normalize,
            seed=seed,
            dtype=dtype,
        )

    return make
