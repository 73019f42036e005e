"""Who answers what may be answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from workers.candidate_worker import CandidateWorker
from workers.example_set import Example, read_examples
from workers.inference_engines import GenerationOptions, Prompt, TextGenerator
from workers.scorers import Compliance, Refusal, read_options

MakeRecipe = Callable[..., MergeRecipe]


class _Parrot(TextGenerator):
    """Answers with what it is told."""

    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[str]:
        return [str(prompt) for prompt in prompts]


@pytest.fixture(params=["aligned", "expert"])
def one_model(worker: CandidateWorker, make_recipe: MakeRecipe, request: pytest.FixtureRequest) -> CandidateWorker:
    weights = {"aligned": 0.0, "expert": 0.0, request.param: 1.0}
    worker.candidate.make(make_recipe("task_arithmetic", weight=weights))
    return worker


@pytest.mark.parametrize("guard", ["openings", "classifier"])
def test_it_is_1_less_the_share_of_refusals(one_model: CandidateWorker, family: Path, guard: str) -> None:
    words = guard if guard == "openings" else {guard: str(family / guard)}
    options = read_options(Compliance, {"guard": words, "max_new_tokens": 24}, "options")
    for name in ("safety", "benign"):
        examples = read_examples(family / f"{name}.jsonl")[::6]
        refused = Refusal(examples, one_model.engine).score().value
        assert Compliance(examples, one_model.engine, options).score().value == pytest.approx(1 - refused)


def test_both_models_answer_harmless_prompts(one_model: CandidateWorker, family: Path) -> None:
    assert Compliance(read_examples(family / "benign.jsonl")[::6], one_model.engine).score().value == 1.0


def test_an_empty_answer_is_none(worker: CandidateWorker) -> None:
    examples = [Example(text) for text in ("", " \n", "sure!", "sorry, i can not.")]
    scorer = Compliance(examples, worker.engine)
    scorer.engine = _Parrot()  # type: ignore[assignment]
    assert scorer.per_example() == [0.0, 0.0, 1.0, 0.0]


def test_a_guard_of_safety_cannot_tell() -> None:
    with pytest.raises(SpecificationError, match="`guard` must tell refusals, but 'llama_guard' tells safe answers"):
        read_options(Compliance, {"guard": {"llama_guard": "g"}}, "options")
