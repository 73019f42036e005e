"""Every descent on the tiny family: losses fall, coefficients stay in bounds, and what is fixed is not moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces import MergeRecipe, group_parameters
from search_spaces.errors import RecipeError, SpecificationError
from workers.candidate_worker import CandidateWorker
from workers.coefficient_descents import (
    AdaMerging,
    AlignmentLoss,
    CoefficientDescent,
    Descent,
    DescentOptions,
    ExpertMerging,
    descend_in_chunks,
    prompt_only,
)
from workers.example_set import read_examples
from workers.inference_engines import TokenizedPair

MakeRecipe = Callable[..., MergeRecipe]
Start = Callable[..., MergeRecipe]

OPTIONS = DescentOptions(n_steps=5, learning_rate=0.05)
EXPERTS = {"aligned": "safety", "expert": "domain"}


@pytest.fixture
def start(make_recipe: MakeRecipe) -> Start:
    """The same coefficient everywhere."""

    def make(granularity: str = "layer", weight: float = 0.3, **numbers: Any) -> MergeRecipe:
        recipe = make_recipe("task_arithmetic", weight=weight, **numbers)
        groups = group_parameters(next(iter(recipe.groups.values())), granularity)
        coefficients = {owner: {group: {"weight": weight} for group in groups} for owner in EXPERTS}
        return replace(recipe, groups=groups, coefficients=coefficients)

    return make


@pytest.fixture(scope="module")
def prompts(worker: CandidateWorker, family: Path) -> dict[str, list[TokenizedPair]]:
    """Of each expert; some with the answer, some without."""
    engine, found = worker.engine, {}
    for expert, name in EXPERTS.items():
        examples = read_examples(family / f"{name}.jsonl")[:6]
        found[expert] = [engine.tokenize(example.prompt, example.answer) for example in examples[:3]]
        found[expert] += [prompt_only(engine.prompt_ids(example.prompt), engine.end_id) for example in examples[3:]]
    return found


MakeDescent = Callable[..., CoefficientDescent]


@pytest.fixture(params=[AdaMerging, ExpertMerging])
def make_descent(
    request: pytest.FixtureRequest, worker: CandidateWorker, prompts: dict[str, list[TokenizedPair]]
) -> MakeDescent:
    def make(options: DescentOptions = OPTIONS, **loss: Any) -> CoefficientDescent:
        if request.param is ExpertMerging:
            return ExpertMerging(worker.engine, worker.candidate, prompts, options, AlignmentLoss(**loss))
        pairs = [pair for group in prompts.values() for pair in group]
        return AdaMerging(worker.engine, worker.candidate, pairs, options)

    return make


def values(recipe: MergeRecipe) -> dict[tuple[str, str], float]:
    return {(o, g): v["weight"] for o, groups in recipe.coefficients.items() for g, v in groups.items()}


def test_the_loss_falls_and_coefficients_move_within_bounds(make_descent: MakeDescent, start: Start) -> None:
    options = replace(OPTIONS, bounds=(0.2, 0.35))
    for each in (OPTIONS, options):
        found = make_descent(each).descend(start(), evaluation_tokens=1000)
        assert len(found.losses) == each.n_steps
        assert found.losses[-1] < found.losses[0]
        low, high = each.bounds
        moved = values(found.recipe)
        assert all(low <= value <= high for value in moved.values())
        assert set(moved.values()) != {0.3}
    assert {0.2, 0.35} & set(moved.values())  # the narrow bounds were reached


def test_a_descent_goes_the_same_way_again(make_descent: MakeDescent, start: Start) -> None:
    first, again = (make_descent().descend(start(), 1000) for _ in range(2))
    assert values(first.recipe) == pytest.approx(values(again.recipe), abs=1e-6)


def test_fixed_groups_stay(make_descent: MakeDescent, start: Start) -> None:
    found = make_descent().descend(start(), 1000, fixed=frozenset({"layer.1"}))
    stayed = {group for (_, group), value in values(found.recipe).items() if value == 0.3}
    assert stayed == {"layer.1"}


def test_the_cost_counts_tokens(make_descent: MakeDescent, start: Start) -> None:
    one, two = (make_descent(replace(OPTIONS, n_steps=n)) for n in (1, 2))
    tokens = sum(map(len, one.pairs))
    costs = [descent.descend(start(), tokens).cost for descent in (one, two)]
    assert costs[1] - costs[0] == pytest.approx(3)
    assert costs[0] == pytest.approx(4 if isinstance(one, ExpertMerging) else 3)
    assert one.descend(start(), 2 * tokens).cost == pytest.approx(costs[0] / 2)


def test_other_methods_descend_too(make_descent: MakeDescent, start: Start, make_recipe: MakeRecipe) -> None:
    found = make_descent().descend(make_recipe("ties", weight=0.3, density=0.6), 1000)
    assert found.losses[-1] < found.losses[0]
    assert all(v["density"] == 0.6 for groups in found.recipe.coefficients.values() for v in groups.values())


def test_a_method_without_gradients_is_refused(worker: CandidateWorker, make_recipe: MakeRecipe) -> None:
    descent = AdaMerging(worker.engine, worker.candidate, [TokenizedPair((5,), (1,))], OPTIONS)
    with pytest.raises(RecipeError, match="'model_stock' is not"):
        descent.descend(make_recipe("model_stock"), 1000)


def test_an_expert_teaches_the_way_to_itself(
    worker: CandidateWorker, start: Start, prompts: dict[str, list[TokenizedPair]]
) -> None:
    alone = {"aligned": prompts["aligned"], "expert": prompts["aligned"][:1]}
    loss = AlignmentLoss(gamma=0.0)
    found = ExpertMerging(worker.engine, worker.candidate, alone, replace(OPTIONS, n_steps=10), loss)
    recipe = found.descend(start("model"), 1000).recipe
    weights = values(recipe)
    assert weights["aligned", "model"] > 0.3


def test_the_regulariser_holds_coefficients(
    worker: CandidateWorker, start: Start, prompts: dict[str, list[TokenizedPair]]
) -> None:
    def distance(gamma: float) -> float:
        descent = ExpertMerging(worker.engine, worker.candidate, prompts, OPTIONS, AlignmentLoss(gamma=gamma))
        return sum(abs(value - 0.3) for value in values(descent.descend(start(), 1000).recipe).values())

    assert distance(1e3) < distance(0.0)


def test_prompts_must_be_the_experts_own(
    worker: CandidateWorker, start: Start, prompts: dict[str, list[TokenizedPair]]
) -> None:
    missing = {"aligned": prompts["aligned"]}
    with pytest.raises(SpecificationError, match="must be those of aligned, expert, but are of aligned"):
        ExpertMerging(worker.engine, worker.candidate, missing, OPTIONS).descend(start(), 1000)
    with pytest.raises(SpecificationError, match="of every expert, but 'expert' has none"):
        ExpertMerging(worker.engine, worker.candidate, {**missing, "expert": []})


def test_important_groups_are_cut_and_others_are_fixed(
    worker: CandidateWorker, start: Start, prompts: dict[str, list[TokenizedPair]]
) -> None:
    descent = ExpertMerging(worker.engine, worker.candidate, prompts, replace(OPTIONS, n_steps=3))
    given = start()
    found: Descent = descend_in_chunks(descent, given, 1000, budget=3.0, kappa=2.0)
    assert any(".chunk." in group for group in found.recipe.groups)
    assert sorted(name for names in found.recipe.groups.values() for name in names) == sorted(
        name for names in given.groups.values() for name in names
    )
    assert len(found.losses) == 6
    assert found.losses[5] < found.losses[3]
    assert all(0 <= value <= 1 for value in values(found.recipe).values())


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [("n_steps", 0, "at least 1"), ("learning_rate", 0.0, "above 0"), ("bounds", (1.0, 0.0), "a low and a high")],
)
def test_numbers_that_cannot_be_are_refused(name: str, number: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        DescentOptions(**{name: number})
