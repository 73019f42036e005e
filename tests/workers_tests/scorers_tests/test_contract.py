"""The contract of every scorer: a new member of `SCORERS` is tested here without a change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from search_spaces import MergeRecipe
from workers.candidate_worker import CandidateWorker
from workers.example_set import Example, check_fields, read_examples
from workers.inference_engines import GenerationOptions
from workers.scorers import SCORERS, AnswerLikelihoodScorer, ExactMatch, Refusal, RefusalMargin, Scorer, ScorerOptions

MakeRecipe = Callable[..., MergeRecipe]
MakeScorer = Callable[[str, Sequence[Example]], Scorer]

NAMES = sorted(SCORERS)


@pytest.fixture(scope="module")
def examples(family: Path) -> tuple[Example, ...]:
    rows = (example for name in ("safety", "benign") for example in read_examples(family / f"{name}.jsonl")[:8])
    return tuple(replace(row, choices=(row.answer, row.rejected), label=0) for row in rows)


@pytest.fixture
def make_scorer(worker: CandidateWorker, scorer_options: dict[str, ScorerOptions | None]) -> MakeScorer:
    """A scorer by its name, over the worker's candidate, with the options that it needs."""
    return lambda name, over: SCORERS[name](over, worker.engine, scorer_options.get(name))


@pytest.fixture(autouse=True)
def _mixed(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    """A candidate that refuses some and complies with some, also of the unsafe prompts alone."""
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 1.2, "expert": 0.8}))


def model_alone(worker: CandidateWorker, make_recipe: MakeRecipe, model: str) -> None:
    worker.candidate.make(make_recipe("task_arithmetic", weight={"aligned": 0.0, "expert": 0.0, model: 1.0}))


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_the_mean_of_its_examples(make_scorer: MakeScorer, examples: tuple[Example, ...], name: str) -> None:
    score = make_scorer(name, examples).score()
    assert score.n == len(score.per_example) == len(examples)
    assert all(map(math.isfinite, score.per_example))
    assert score.value == pytest.approx(fmean(score.per_example))
    assert score.standard_error == pytest.approx(stdev(score.per_example) / math.sqrt(score.n))


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_scored_each_by_itself_and_in_order(
    make_scorer: MakeScorer, examples: tuple[Example, ...], name: str
) -> None:
    if SCORERS[name].brings_examples:
        pytest.skip("nobody else has its examples, to give it one of them")
    together = make_scorer(name, examples).per_example()
    alone = [make_scorer(name, [example]).per_example()[0] for example in examples]
    assert together == pytest.approx(alone, abs=1e-4)
    assert len(set(together)) > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_of_the_weights_of_the_moment(
    worker: CandidateWorker,
    make_recipe: MakeRecipe,
    make_scorer: MakeScorer,
    examples: tuple[Example, ...],
    name: str,
) -> None:
    scorer = make_scorer(name, examples)
    found = []
    for model in ("aligned", "expert", "aligned"):
        model_alone(worker, make_recipe, model)
        found.append(scorer.score())
    assert found[0] == found[2]
    # On these sets the aligned model is the better one, but for a scorer that wants no refusals.
    assert (found[0].value > found[1].value) == (name != "compliance")
    assert found[0].value != found[1].value


@pytest.mark.parametrize("name", NAMES)
def test_it_names_itself_and_the_fields_it_reads(name: str) -> None:
    assert SCORERS[name].name == name
    check_fields(
        [Example("p", "a", "r", choices=("a", "r"), label=0)], SCORERS[name].required_fields, "set.jsonl", name
    )
    assert ("prompt" in SCORERS[name].required_fields) != SCORERS[name].brings_examples


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_no_other_field(make_scorer: MakeScorer, examples: tuple[Example, ...], name: str) -> None:
    others = {"answer", "rejected"} - {*SCORERS[name].required_fields, *SCORERS[name].optional_fields}
    nothing: dict[str, Any] = dict.fromkeys(others, "")
    stripped = [replace(example, **nothing) for example in examples]
    found, wanted = (make_scorer(name, each).per_example() for each in (stripped, examples))
    assert found == pytest.approx(wanted, abs=1e-4)


def test_the_margin_changes_its_sign_with_the_answers(worker: CandidateWorker, examples: tuple[Example, ...]) -> None:
    exchanged = [replace(example, answer=example.rejected, rejected=example.answer) for example in examples]
    there, back = (RefusalMargin(each, worker.engine).per_example() for each in (examples, exchanged))
    assert there == pytest.approx([-margin for margin in back], abs=1e-5)


def test_the_margin_is_the_difference_of_two_likelihoods(
    worker: CandidateWorker, examples: tuple[Example, ...]
) -> None:
    rejected = [replace(example, answer=example.rejected) for example in examples]
    safe, unsafe = (AnswerLikelihoodScorer(each, worker.engine).per_example() for each in (examples, rejected))
    wanted = [first - second for first, second in zip(safe, unsafe, strict=True)]
    assert RefusalMargin(examples, worker.engine).per_example() == pytest.approx(wanted, abs=1e-4)


def test_likelihoods_are_at_most_0_and_shares_between_0_and_1(
    worker: CandidateWorker, examples: tuple[Example, ...]
) -> None:
    assert max(AnswerLikelihoodScorer(examples, worker.engine).per_example()) <= 0
    for scorer in (ExactMatch, Refusal):
        assert set(scorer(examples, worker.engine).per_example()) <= {0.0, 1.0}


def test_exact_match_is_what_generation_writes(worker: CandidateWorker, examples: tuple[Example, ...]) -> None:
    written = worker.engine.generate([example.prompt for example in examples], GenerationOptions(40))
    wanted = [float(answer == example.answer) for answer, example in zip(written, examples, strict=True)]
    assert ExactMatch(examples, worker.engine).per_example() == wanted


def test_the_aligned_model_refuses_and_the_expert_complies(
    worker: CandidateWorker, make_recipe: MakeRecipe, family: Path
) -> None:
    unsafe = read_examples(family / "safety.jsonl")[:20]
    for model, share in (("aligned", 1.0), ("expert", 0.0)):
        model_alone(worker, make_recipe, model)
        assert Refusal(unsafe, worker.engine).score().value == share
        assert (RefusalMargin(unsafe, worker.engine).score().value > 0) == (share == 1.0)
