"""Answers that a guard or a classifier judges, with the tiny family's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import CheckpointError, GenerationError, SpecificationError
from tests.openai_server import OpenAIServer
from workers.candidate_worker import CandidateWorker
from workers.example_set import Example, read_examples
from workers.inference_engines import ModelSource
from workers.inference_engines.opening import shared_generator
from workers.scorers import ClassifierScorer, GuardScorer, Refusal, Scorer, read_options
from workers.scorers.classifier import ClassifierOptions
from workers.scorers.guard import GuardOptions

MakeRecipe = Callable[..., MergeRecipe]
Judges = dict[str, Scorer]


@pytest.fixture
def unsafe(family: Path) -> tuple[Example, ...]:
    return read_examples(family / "safety.jsonl")[::4]


def judges(worker: CandidateWorker, family: Path, examples: tuple[Example, ...]) -> Judges:
    guard = GuardOptions(guard={"llama_guard": str(family / "guard")}, max_new_tokens=24)
    classifier = ClassifierOptions(model=str(family / "classifier"), max_new_tokens=24)
    openings = GuardOptions(guard="openings", max_new_tokens=24)
    return {
        "guard": GuardScorer(examples, worker.engine, guard),
        "classifier": ClassifierScorer(examples, worker.engine, classifier),
        "openings": GuardScorer(examples, worker.engine, openings),
        "refusal": Refusal(examples, worker.engine),
    }


@pytest.mark.parametrize(("weights", "share"), [((1.0, 0.0), 1.0), ((0.0, 1.0), 0.0)])
def test_the_aligned_model_is_safe_and_the_expert_is_not(
    worker: CandidateWorker,
    make_recipe: MakeRecipe,
    family: Path,
    unsafe: tuple[Example, ...],
    weights: tuple[float, float],
    share: float,
) -> None:
    worker.candidate.make(make_recipe("task_arithmetic", weight=dict(zip(("aligned", "expert"), weights, strict=True))))
    for name, scorer in judges(worker, family, unsafe).items():
        assert scorer.score().value == share, name


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.2, 0.8), (1.0, 0.6)])
def test_guard_and_classifier_and_openings_agree_on_unsafe_prompts(
    worker: CandidateWorker,
    make_recipe: MakeRecipe,
    family: Path,
    unsafe: tuple[Example, ...],
    weights: tuple[float, float],
) -> None:
    worker.candidate.make(make_recipe("task_arithmetic", weight=dict(zip(("aligned", "expert"), weights, strict=True))))
    found = {name: scorer.per_example() for name, scorer in judges(worker, family, unsafe).items()}
    for name, verdicts in found.items():
        n_other = sum(a != b for a, b in zip(verdicts, found["openings"], strict=True))
        assert n_other <= 1, name  # of 48


def test_scorers_of_one_guard_share_it(worker: CandidateWorker, family: Path, unsafe: tuple[Example, ...]) -> None:
    options = GuardOptions(guard={"llama_guard": str(family / "guard")})
    for part in (unsafe[:3], unsafe[3:6]):
        GuardScorer(part, worker.engine, options).per_example()
    source = ModelSource(str(family / "guard"))
    assert shared_generator(source, worker.engine.device) is shared_generator(source, worker.engine.device)


def test_a_guard_may_be_an_endpoint(
    worker: CandidateWorker, openai_server: OpenAIServer, unsafe: tuple[Example, ...]
) -> None:
    openai_server.answer = lambda messages, request: "safe" if len(messages[0]["content"]) % 2 else "unsafe\nS1"
    options = GuardOptions(guard={"llama_guard": {"endpoint": openai_server.url, "model": "guard"}})
    found = GuardScorer(unsafe, worker.engine, options).per_example()
    assert found == [float(len(example.prompt) % 2) for example in unsafe]


def test_a_guard_that_gives_no_verdict_is_no_score(
    worker: CandidateWorker, openai_server: OpenAIServer, unsafe: tuple[Example, ...]
) -> None:
    openai_server.answer = lambda messages, request: "I would rather not say."
    options = GuardOptions(guard={"llama_guard": {"endpoint": openai_server.url, "model": "guard"}})
    with pytest.raises(GenerationError, match=r"must reply `safe` or `unsafe`, but replied 'I would rather not say.'"):
        GuardScorer(unsafe, worker.engine, options).score()


def test_an_unfit_guard_is_refused_before_anything_is_scored(
    worker: CandidateWorker, family: Path, unsafe: tuple[Example, ...]
) -> None:
    with pytest.raises(CheckpointError, match="Name it as `classifier`"):
        GuardScorer(unsafe, worker.engine, GuardOptions(guard={"llama_guard": str(family / "classifier")}))
    with pytest.raises(CheckpointError, match="must be a model for sequence classification"):
        ClassifierScorer(unsafe, worker.engine, ClassifierOptions(model=str(family / "guard")))


@pytest.mark.parametrize(
    ("scorer", "given", "wanted"),
    [
        (GuardScorer, {"guard": "openings"}, {"guard": "openings", "max_new_tokens": 128}),
        (GuardScorer, {"guard": {"llama_guard": "g"}}, {"guard": {"llama_guard": "/here/g"}, "max_new_tokens": 128}),
        (
            GuardScorer,
            {"guard": {"classifier": "c"}, "max_new_tokens": 5},
            {"guard": {"classifier": "/here/c", "safe_labels": []}, "max_new_tokens": 5},
        ),
        (
            ClassifierScorer,
            {"model": "c", "safe_labels": ["fine"]},
            {"model": "/here/c", "safe_labels": ["fine"], "max_new_tokens": 128},
        ),
    ],
)
def test_options_are_stored_with_absolute_paths(
    scorer: type[Scorer], given: dict[str, Any], wanted: dict[str, Any]
) -> None:
    options = read_options(scorer, given, "options").seen_from(Path("/here"))
    stored = json.loads(json.dumps(asdict(options)))
    assert stored == wanted
    assert read_options(scorer, stored, "options") == options
    assert options.seen_from(Path("/elsewhere")) == options


@pytest.mark.parametrize(
    ("scorer", "given", "message"),
    [
        (GuardScorer, {}, "`options.guard` of the scorer 'guard': must be given"),
        (GuardScorer, {"guard": "nobody"}, "`guard` must be `openings`, or a mapping"),
        (GuardScorer, {"guard": "openings", "max_new_tokens": 0}, "`max_new_tokens` must be at least 1, but got 0"),
        (ClassifierScorer, {}, "`options.model` of the scorer 'classifier': must be given"),
        (ClassifierScorer, {"model": "c", "max_new_tokens": -1}, "`max_new_tokens` must be at least 1, but got -1"),
        (ClassifierScorer, {"model": "c", "guard": "openings"}, "`options.guard` is not an option of the scorer"),
    ],
)
def test_impossible_options_are_refused(scorer: type[Scorer], given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        read_options(scorer, given, "options")
