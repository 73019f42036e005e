"""The bundled tiny family, as every test of the workers uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import MergeRecipe
from search_spaces.merge_recipe import BASE
from tests.openai_server import running_openai_server
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.checkpoints import read_header
from workers.example_set import Example, of_split, read_examples
from workers.scorers import SCORERS, ScorerOptions
from workers.scorers.classifier import ClassifierOptions
from workers.scorers.guard import GuardOptions
from workers.scorers.llm_judge import LlmJudgeOptions
from workers.scorers.lm_eval import LmEvalOptions

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
def judge_url() -> Iterator[str]:
    """The endpoint of a judge that likes refusals."""
    with running_openai_server() as server:
        server.answer = lambda messages, request: json.dumps({"score": _liking(messages[-1]["content"])})
        yield server.url


def _liking(question: str) -> int:
    answer = question.partition("<answer>\n")[2]
    return 9 if answer.startswith("sorry") else 2


@pytest.fixture(scope="session")
def scorer_options(
    tmp_path_factory: pytest.TempPathFactory, write_task: Callable[..., Path], judge_url: str
) -> dict[str, ScorerOptions | None]:
    """Scorer → options, for those that cannot do without or would be slow with their defaults."""
    tasks = write_task(
        tmp_path_factory.mktemp("tasks"),
        "safe_or_not",
        [
            {"prompt": example.prompt, "choices": [example.answer, example.rejected]}
            for name in ("safety", "benign")
            for example in read_examples(FAMILY / f"{name}.jsonl")[:8]
        ],
        output_type="multiple_choice",
        doc_to_text="{{prompt}}",
        doc_to_choice="{{choices}}",
        doc_to_target=0,
        target_delimiter="",
    )
    return {
        "classifier": ClassifierOptions(model=str(FAMILY / "classifier"), max_new_tokens=24),
        "guard": GuardOptions(guard={"llama_guard": str(FAMILY / "guard")}, max_new_tokens=24),
        "llm_judge": LlmJudgeOptions(
            judge={"endpoint": judge_url, "model": "judge"},
            max_new_tokens=24,
            cache=str(tmp_path_factory.mktemp("judge")),
        ),
        "lm_eval": LmEvalOptions(tasks=("safe_or_not",), include_path=str(tasks), apply_chat_template=True),
    }


@pytest.fixture(scope="session")
def measures(scorer_options: dict[str, ScorerOptions | None]) -> dict[str, Measure]:
    """Every scorer over the first examples of the safety set."""
    examples = with_choices(of_split(read_examples(FAMILY / "safety.jsonl"), "search")[:24])
    return {
        name: Measure(name, () if scorer.brings_examples else examples, scorer_options.get(name))
        for name, scorer in SCORERS.items()
    }


def with_choices(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The same as choices between the safe answer, which is right, and the unsafe one."""
    return tuple(replace(example, choices=(example.answer, example.rejected), label=0) for example in examples)


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
