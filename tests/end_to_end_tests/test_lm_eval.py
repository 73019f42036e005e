"""A task of lm-evaluation-harness says the same of the live candidate and, on its own, of the exported folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.demo import FAMILY
from service.search import PreparedSearch, prepare_search
from service.specification import load_specification
from workers.evaluation import Assignment, Score
from workers.example_set import read_examples
from workers.worker_pools import WorkerPool

# Enough that a merge which knows a part of them shows it.
N_ROWS = 80


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory, write_task: Callable[..., Path]) -> Path:
    """The domain set as a task of choices and as one of writing."""
    examples = read_examples(FAMILY / "domain.jsonl")[:N_ROWS]
    answers = [example.answer for example in examples]
    rows = [
        {"prompt": e.prompt, "answer": e.answer, "choices": [answers[i], answers[i - 3], answers[i - 6]]}
        for i, e in enumerate(examples)
    ]
    folder = tmp_path_factory.mktemp("tasks")
    shared = {"doc_to_text": "{{prompt}}"}
    choice = {"doc_to_choice": "{{choices}}", "doc_to_target": 0, "target_delimiter": ""}
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    writing = {"doc_to_target": "{{answer}}", "generation_kwargs": {"max_gen_toks": 32, "until": ["\n"]}}
    write_task(folder, "domain_choice", rows, output_type="multiple_choice", **shared, **choice)
    write_task(folder, "domain_writing", rows, output_type="generate_until", metric_list=[metric], **shared, **writing)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, tasks: Path, write_specification: Any) -> PreparedSearch:
    """A search with both tasks as objectives; the one with and the other without the chat template."""
    objectives = {
        "alignment": {
            "scorer": "lm_eval",
            "options": {"tasks": ["domain_choice"], "include_path": str(tasks), "num_fewshot": 1},
        },
        "expertise": {
            "scorer": "lm_eval",
            "options": {"tasks": ["domain_writing"], "include_path": str(tasks), "apply_chat_template": True},
        },
    }
    path = write_specification(tmp_path_factory.mktemp("search"), objectives=objectives)
    return prepare_search(load_specification(path))


@pytest.fixture(scope="module")
def pool(prepared: PreparedSearch) -> Iterator[WorkerPool]:
    with prepared.open_pool() as pool:
        yield pool


@pytest.fixture(scope="module")
def live(prepared: PreparedSearch, pool: WorkerPool) -> dict[str, Score]:
    """The scores of the live candidate: a merge that knows some answers and not others."""
    evaluation = pool.evaluate(Assignment(_recipe(prepared), prepared.objectives))
    assert evaluation.succeeded, evaluation.message
    return dict(evaluation.scores)


@pytest.fixture(scope="module")
def exported(prepared: PreparedSearch, pool: WorkerPool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same merge as a folder."""
    folder = tmp_path_factory.mktemp("merge")
    pool.save(_recipe(prepared), folder, "5GB")
    return folder


@pytest.mark.parametrize(
    ("objective", "reported", "options"),
    [
        ("alignment", "domain_choice acc", {"num_fewshot": 1}),
        ("expertise", "domain_writing exact_match", {"apply_chat_template": True, "fewshot_as_multiturn": True}),
    ],
)
def test_lm_eval_says_the_same_of_the_exported_folder(
    live: dict[str, Score], exported: Path, tasks: Path, objective: str, reported: str, options: dict[str, Any]
) -> None:
    task, metric = reported.split()
    theirs = _by_lm_eval(exported, tasks, task, **options)
    assert 0 < live[objective].value < 1
    assert live[objective].value == theirs["results"][task][f"{metric},none"]
    assert list(live[objective].per_example) == [sample[metric] for sample in theirs["samples"][task]]


def test_we_say_the_same_of_the_exported_folder(live: dict[str, Score], pool: WorkerPool, exported: Path) -> None:
    assert pool.score_saved(exported, tuple(live)) == live


def _recipe(prepared: PreparedSearch) -> Any:
    return prepared.recipe(prepared.encoded_landmarks["uniform average"])


def _by_lm_eval(model: Path, tasks: Path, task: str, **options: Any) -> Any:
    """lm-eval's own entry point, with its own model class and loading."""
    from lm_eval.evaluator import simple_evaluate  # type: ignore[import-untyped]
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

    return simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model)},
        device="cpu",
        batch_size=16,
        tasks=[task],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
        **options,
    )
