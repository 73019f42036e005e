"""lm-evaluation-harness on the live candidate: its numbers, the same for every candidate, and clear refusals."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError, ExampleSetError, SpecificationError
from workers.candidate_worker import CandidateWorker, WorkerSetup
from workers.example_set import read_examples
from workers.inference_engines import InferenceEngine
from workers.scorers import LmEval, read_options
from workers.scorers.lm_eval import LmEvalOptions
from workers.scorers.lm_eval_tasks import load_tasks

MakeRecipe = Callable[..., MergeRecipe]
WriteTask = Callable[..., Path]

N_ROWS = 24
CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{prompt}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": 0,
    "target_delimiter": "",
}
GENERATION = {
    "output_type": "generate_until",
    "doc_to_text": "{{prompt}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"max_gen_toks": 24, "until": ["\n"]},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


@pytest.fixture(scope="module")
def rows(family: Path) -> list[dict[str, Any]]:
    """Of the domain set, each answer with two others of the same kind as wrong choices."""
    examples = read_examples(family / "domain.jsonl")[:N_ROWS]
    answers = [example.answer for example in examples]
    return [
        {"prompt": e.prompt, "answer": e.answer, "choices": [answers[i], answers[i - 3], answers[i - 6]]}
        for i, e in enumerate(examples)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_task: WriteTask, rows: list[dict[str, Any]]) -> Path:
    """The tasks of this module."""
    folder = tmp_path_factory.mktemp("tasks")
    extraction = [
        {"name": "word", "filter": [{"function": "regex", "regex_pattern": "(\\w+)"}, {"function": "take_first"}]},
        {"name": "all", "filter": [{"function": "take_first"}]},
    ]
    write_task(folder, "choose", rows, **CHOICE)
    write_task(folder, "write", rows, **GENERATION)
    write_task(folder, "extract", rows, **GENERATION, filter_list=extraction)
    write_task(folder, "run", rows, **CHOICE, unsafe_code=True)
    write_task(folder, "long", rows, **GENERATION | {"generation_kwargs": {"until": ["\n"]}})
    sampled = {"do_sample": True, "temperature": 1.0, "top_p": 0.5}
    write_task(folder, "sampled", rows, **GENERATION | {"generation_kwargs": sampled})
    write_task(
        folder, "perplexity", rows, output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="{{answer}}"
    )
    write_task(folder, "lost", rows, **CHOICE)
    (folder / "lost.jsonl").unlink()
    return folder


@pytest.fixture(autouse=True)
def _half_an_expert(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    """A candidate that knows some answers."""
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 0.0, "expert": 0.6}))


@pytest.fixture
def scorer_of(worker: CandidateWorker, folder: Path) -> Callable[..., LmEval]:
    """A scorer over the worker's candidate by tasks and further options."""

    def make(*tasks: str, **options: Any) -> LmEval:
        return LmEval((), worker.engine, LmEvalOptions(tasks, str(folder), **options))

    return make


def by_lm_eval(engine: InferenceEngine, folder: Path, task: str, **options: Any) -> Any:
    """What lm-eval's own entry point says with its own model class around the same weights."""
    from lm_eval.evaluator import simple_evaluate  # type: ignore[import-untyped]
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

    model: Any = engine
    return simple_evaluate(
        model=HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=8),
        tasks=[task],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        **options,
    )


@pytest.mark.parametrize(
    ("task", "metric", "options"),
    [
        ("choose", "acc", {}),
        ("choose", "acc_norm", {"num_fewshot": 2}),
        ("write", "exact_match", {"apply_chat_template": True}),
        ("write", "exact_match", {"apply_chat_template": True, "num_fewshot": 1, "limit": 9}),
    ],
)
def test_it_says_what_lm_eval_says(
    worker: CandidateWorker,
    scorer_of: Callable[..., LmEval],
    folder: Path,
    task: str,
    metric: str,
    options: dict[str, Any],
) -> None:
    theirs = by_lm_eval(worker.engine, folder, task, **options)
    ours = scorer_of(task, metric=metric, **options).score()
    assert ours.value == pytest.approx(theirs["results"][task][f"{metric},none"])
    assert list(ours.per_example) == [sample[metric] for sample in theirs["samples"][task]]


def test_few_shot_examples_are_the_same_for_every_candidate(
    worker: CandidateWorker, make_recipe: MakeRecipe, scorer_of: Callable[..., LmEval]
) -> None:
    scorer = scorer_of("choose", num_fewshot=2)
    first = scorer.per_example()
    prompts = [request.args[0] for request in scorer.tasks["choose"].instances]
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 1.0, "expert": 0.0}))
    scorer.per_example()
    assert [request.args[0] for request in scorer.tasks["choose"].instances] == prompts
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 0.0, "expert": 0.6}))
    assert scorer.per_example() == first


def test_nobody_elses_random_numbers_are_touched(scorer_of: Callable[..., LmEval]) -> None:
    scorer = scorer_of("choose", num_fewshot=1, limit=2)
    before, numpy_before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    scorer.score()
    assert random.getstate() == before
    assert np.random.get_state()[1].tolist() == numpy_before  # type: ignore[index]


def test_tasks_come_one_after_the_other(scorer_of: Callable[..., LmEval]) -> None:
    alone = [scorer_of(task, limit=6).per_example() for task in ("write", "choose")]
    assert scorer_of("write", "choose", limit=6).per_example() == [*alone[0], *alone[1]]


def test_the_first_filter_counts_unless_another_is_named(scorer_of: Callable[..., LmEval]) -> None:
    options = {"apply_chat_template": True}
    assert set(scorer_of("extract", **options).per_example()) == {0.0}  # a word is no whole answer
    whole = scorer_of("extract", metric="exact_match,all", **options).per_example()
    assert whole == scorer_of("write", **options).per_example()
    assert sum(whole) > 0


def test_two_scorers_share_what_was_loaded(scorer_of: Callable[..., LmEval]) -> None:
    assert scorer_of("choose").tasks is scorer_of("choose", limit=1).tasks


def test_broken_weights_are_a_failed_candidate(setup: WorkerSetup, make_recipe: MakeRecipe, folder: Path) -> None:
    worker = CandidateWorker(replace(setup, dtype="float16"))
    # Thirty times the weights: activations leave the range of float16.
    worker.candidate.make(make_recipe("linear", weight=10.0, dtype="float16"))
    with pytest.raises(CandidateError, match="must be finite"):
        LmEval((), worker.engine, LmEvalOptions(("choose",), str(folder))).score()


@pytest.mark.parametrize(
    ("task", "options", "problem"),
    [
        ("run", {}, "No task may run code that a model writes, but 'run' does"),
        ("sampled", {}, "may sample by `temperature` alone, but 'sampled' also sets `top_p`"),
        ("long", {}, "'long' lets a model write 256 tokens, but this one takes 128"),
        ("perplexity", {}, "`metric` must be a mean .* 'perplexity' is none; such are: none"),
        ("choose", {"metric": "bleu"}, "'bleu' of the task 'choose' is none; such are: acc, acc_norm"),
        ("extract", {"metric": "exact_match,first"}, "a filter of the task 'extract', which are word, all.*'first'"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    scorer_of: Callable[..., LmEval], task: str, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SpecificationError, match=problem):
        scorer_of(task, **options)


def test_a_task_without_its_data_is_told(scorer_of: Callable[..., LmEval]) -> None:
    with pytest.raises(ExampleSetError, match=r"The task 'lost' must load with its data, but: .*lost.jsonl"):
        scorer_of("lost")


def test_a_task_is_named_once(write_task: WriteTask, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write_task(tmp_path, "one", rows, **CHOICE, tag="several")
    with pytest.raises(SpecificationError, match="must name a task once, but 'one' comes twice"):
        load_tasks(("one", "several"), str(tmp_path), None)


def test_paths_become_absolute(folder: Path) -> None:
    seen = LmEvalOptions(("choose",), folder.name).seen_from(folder.parent)
    assert seen == LmEvalOptions(("choose",), str(folder))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "`tasks` must name at least one task"),
        ({"tasks": "choose"}, "`x.options.tasks` of the scorer 'lm_eval'"),
        ({"tasks": ["choose"], "limit": 0}, "`limit` must be at least 1, but got 0"),
        ({"tasks": ["choose"], "num_fewshot": -1}, "`num_fewshot` must be at least 0, but got -1"),
        ({"tasks": ["choose"], "tsak": 1}, "`x.options.tsak` is not an option"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecificationError, match=problem):
        read_options(LmEval, options, "x.options")


def test_unknown_tasks_are_refused_before_the_search(folder: Path) -> None:
    options = LmEvalOptions(("chose",), str(folder))
    with pytest.raises(SpecificationError, match=r"'chose' is none. Did you mean .*choose"):
        options.check()
    # Beside those of the folder there are lm-eval's own.
    replace(options, tasks=("choose", "arc_easy")).check()


def test_a_folder_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(SpecificationError, match=r"`include_path` must be a folder of task YAMLs, but '.*/nowhere'"):
        LmEvalOptions(("choose",), str(folder / "nowhere")).check()


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.api.task", None)
    with pytest.raises(SpecificationError, match=r"pip install 'paretomerge\[lm-eval\]'"):
        LmEvalOptions(("choose",), str(tmp_path)).check()
