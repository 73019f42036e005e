"""A worker asked for gradients: the same scores, and what becomes of requests that cannot be met."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from search_spaces import MergeRecipe
from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.merge_recipe import Coefficients
from workers.candidate_worker import CandidateWorker, Measure, WorkerSetup
from workers.evaluation import Assignment, FailureReason, GradientRequest, Rival, Score
from workers.gradient_scoring import GradientScoring
from workers.inference_engines import AnswerLikelihood, GenerationOptions, InferenceEngine, TokenizedPair
from workers.scorers import SCORERS, AnswerLikelihoodScorer, LikelihoodScorer

MakeRecipe = Callable[..., MergeRecipe]

BOTH = ("refusal_margin", "answer_likelihood")


def test_the_differentiable_scorers_are_those_of_likelihoods() -> None:
    assert {name for name, scorer in SCORERS.items() if scorer.differentiable} == set(BOTH)
    assert all(issubclass(SCORERS[name], LikelihoodScorer) for name in BOTH)


def test_scores_are_those_of_a_plain_evaluation(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    measures = ("exact_match", *BOTH)
    for method in ("task_arithmetic", "ties", "linear"):
        numbers = {"density": 0.5} if method == "ties" else {}
        recipe = make_recipe(method, weight=0.4, **numbers)
        plain = worker.evaluate(Assignment(recipe, measures))
        asked = worker.evaluate(Assignment(recipe, measures, gradient=GradientRequest(BOTH)))
        assert list(asked.scores) == list(plain.scores) == list(measures)
        for name in measures:
            assert asked.scores[name].per_example == pytest.approx(plain.scores[name].per_example, abs=1e-5)
        assert asked.gradients.keys() == set(BOTH)
        assert asked.gradient_failure == ""
        assert plain.gradients == {}


def test_a_gradient_says_where_scores_rise(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    def evaluate(weight: dict[str, float]) -> Any:
        recipe = make_recipe("task_arithmetic", weight=weight)
        return worker.evaluate(Assignment(recipe, BOTH, gradient=GradientRequest(BOTH)))

    here, step = {"aligned": 0.5, "expert": 0.6}, 0.02
    start = evaluate(here)
    for measure in BOTH:
        for model in here:
            ends = [evaluate({**here, model: here[model] + s}).scores[measure].value for s in (step, -step)]
            slope = (ends[0] - ends[1]) / (2 * step)
            assert start.gradients[measure][model]["all"]["weight"] == pytest.approx(slope, rel=0.02)


def test_only_what_is_asked_for_has_a_gradient(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("ties", weight=0.4, density=0.5)
    found = worker.evaluate(Assignment(recipe, BOTH, gradient=GradientRequest(BOTH[:1])))
    assert list(found.gradients) == ["refusal_margin"]
    gradient = found.gradients["refusal_margin"]
    assert gradient.keys() == {"aligned", "expert", "*"}
    assert gradient["aligned"].keys() == gradient["*"].keys() == {"all"}
    assert (*gradient["aligned"]["all"], *gradient["*"]["all"]) == ("weight", "lambda")


def flat(gradient: Coefficients) -> list[float]:
    return [v for groups in gradient.values() for values in groups.values() for v in values.values()]


def test_parts_of_a_set_add_up(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    from workers.coefficient_gradients import coefficient_gradients

    recipe, scorer = make_recipe("task_arithmetic", weight=0.4), worker.scorer("refusal_margin")
    assert isinstance(scorer, LikelihoodScorer)
    sums = []
    for chosen in (range(24), range(10), range(10, 24)):
        with coefficient_gradients(worker.candidate, recipe) as found:
            assert scorer.per_example_backward(chosen) == pytest.approx(scorer.per_example(), abs=1e-5)
        sums.append(flat(found.coefficients()))
    assert sums[0] == pytest.approx([sum(parts) for parts in zip(*sums[1:], strict=True)], rel=1e-4, abs=1e-4)


def test_a_share_is_a_seeded_part_and_scores_are_of_the_whole(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("task_arithmetic", weight=0.4)

    def evaluate(share: float, seed: int) -> Any:
        return worker.evaluate(Assignment(recipe, BOTH, gradient=GradientRequest(BOTH, share, seed)))

    whole, first, again, other = evaluate(1.0, 0), evaluate(0.5, 0), evaluate(0.5, 0), evaluate(0.5, 1)
    for name in BOTH:
        assert first.scores[name].per_example == pytest.approx(whole.scores[name].per_example, abs=1e-5)
        assert first.gradients[name] == again.gradients[name] != other.gradients[name]
        # A mean over examples, however many.
        sizes = [math.hypot(*flat(each.gradients[name])) for each in (first, whole)]
        assert 0.5 < sizes[0] / sizes[1] < 2


@pytest.mark.parametrize(("share", "n", "wanted"), [(1.0, 7, 7), (0.5, 7, 3), (0.01, 7, 1), (0.25, 100, 25)])
def test_a_part_has_its_share(share: float, n: int, wanted: int) -> None:
    parts = [GradientRequest((), share, seed).part(measure, n) for seed in range(20) for measure in "ab"]
    assert {len(part) for part in parts} == {wanted}
    assert all(part <= set(range(n)) for part in parts)
    assert (len(set(parts)) > 1) == (share < 1)
    assert GradientRequest((), share).cost == 1 + 2 * share


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, math.nan])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(SpecificationError, match=r"`share` of a gradient must be in \(0, 1\]"):
        GradientRequest(BOTH, share)


def test_no_race_is_run_where_a_gradient_is_asked_for(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    unbeaten = Score(1e9, 0.0, 24, (1e9,) * 24)
    rival = Rival(dict.fromkeys(BOTH, unbeaten))
    assignment = Assignment(make_recipe("task_arithmetic", weight=0.4), BOTH, rivals=(rival,))
    assert not worker.evaluate(assignment).is_whole
    found = worker.evaluate(replace(assignment, gradient=GradientRequest(BOTH)))
    assert found.is_whole
    assert found.scores["refusal_margin"].n == 24


class _Broken(torch.autograd.Function):
    """The identity, whose slope is not a number."""

    @staticmethod
    def forward(_: Any, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.clone()

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.nan


def test_a_gradient_that_is_not_finite_leaves_the_scores(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("task_arithmetic", weight=0.4)
    plain = worker.evaluate(Assignment(recipe, BOTH))
    break_slopes: Any = _Broken.apply
    layer = worker.candidate.model.model.layers[2].mlp
    hook = layer.register_forward_hook(lambda _, __, hidden: break_slopes(hidden))
    try:
        found = worker.evaluate(Assignment(recipe, BOTH, gradient=GradientRequest(BOTH)))
    finally:
        hook.remove()
    assert found.succeeded
    assert found.gradients == {}
    assert "The gradient of 'refusal_margin' must be finite, but that of aligned/all/weight is nan" in (
        found.gradient_failure
    )
    for name in BOTH:
        assert found.scores[name].per_example == pytest.approx(plain.scores[name].per_example, abs=1e-5)


def test_a_candidate_that_fails_has_neither(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("linear", weight=0.0, normalize=True)
    found = worker.evaluate(Assignment(recipe, BOTH, gradient=GradientRequest(BOTH)))
    assert found.failure is FailureReason.ZERO_WEIGHTS
    assert found.gradients == {}


@pytest.mark.parametrize(("scored", "wanted"), [(BOTH, "exact_match"), (BOTH[:1], "answer_likelihood")])
def test_a_measure_without_a_gradient_is_refused(
    worker: CandidateWorker, make_recipe: MakeRecipe, scored: tuple[str, ...], wanted: str
) -> None:
    assignment = Assignment(make_recipe("task_arithmetic", weight=0.4), scored, gradient=GradientRequest((wanted,)))
    with pytest.raises(SpecificationError, match=f"answer_likelihood, refusal_margin, but '{wanted}' is none"):
        worker.evaluate(assignment)


def test_a_method_without_a_gradient_is_refused(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    assignment = Assignment(make_recipe("model_stock"), BOTH, gradient=GradientRequest(BOTH))
    with pytest.raises(RecipeError, match="need a method that is differentiable, but 'model_stock' is not"):
        worker.evaluate(assignment)


class ForwardOnly(InferenceEngine):
    """An engine without a backward pass."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.tokenizer, self.end_id = engine.tokenizer, engine.end_id

    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        return [AnswerLikelihood(-1.0, len(pair.answer), greedy=False) for pair in pairs]

    def complete(self, prompts: Sequence[tuple[int, ...]], options: GenerationOptions) -> list[str]:
        return [""] * len(prompts)


def test_an_engine_without_a_gradient_is_refused(
    worker: CandidateWorker, make_recipe: MakeRecipe, measures: dict[str, Measure]
) -> None:
    scorer = AnswerLikelihoodScorer(measures["answer_likelihood"].examples, ForwardOnly(worker.engine))
    recipe = make_recipe("task_arithmetic", weight=0.4)
    scoring = GradientScoring(worker.candidate, recipe, lambda _: scorer, GradientRequest(BOTH[1:]))
    with pytest.raises(SpecificationError, match=r"but ForwardOnly does not\. Set `workers\.engine` to `transformers`"):
        scoring.score(BOTH[1:])
    with pytest.raises(SpecificationError, match="but ForwardOnly does not"):
        scorer.per_example_backward([0])


def test_requests_and_gradients_travel(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    assignment = Assignment(make_recipe("task_arithmetic", weight=0.4), BOTH, gradient=GradientRequest(BOTH, 0.5))
    for each in (assignment, worker.evaluate(assignment)):
        assert pickle.loads(pickle.dumps(each)) == each


def test_a_setup_may_checkpoint_activations(
    worker: CandidateWorker, setup: WorkerSetup, make_recipe: MakeRecipe
) -> None:
    assignment = Assignment(make_recipe("task_arithmetic", weight=0.4), BOTH, gradient=GradientRequest(BOTH))
    found = CandidateWorker(replace(setup, checkpoint_activations=True)).evaluate(assignment)
    wanted = worker.evaluate(assignment)
    for name in BOTH:
        assert flat(found.gradients[name]) == pytest.approx(flat(wanted.gradients[name]), rel=1e-3)
