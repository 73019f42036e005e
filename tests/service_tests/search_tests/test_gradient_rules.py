"""Which searches can follow gradients, and what those that cannot are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import SpecificationError
from service.demo import FAMILY
from service.search import PreparedSearch, prepare_search
from service.search.gradient_rules import least_share
from service.specification import load_specification

Prepare = Callable[..., PreparedSearch]
GRADIENT = {"sampler": "gradient"}
AUTO = {"sampler": "auto", "evaluations": 300}
REFUSAL = {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal"}
MATCH = {"set": str(FAMILY / "domain.jsonl"), "scorer": "exact_match"}
MARGIN = {"set": str(FAMILY / "safety.jsonl"), "scorer": "refusal_margin"}
PLAIN = {"alignment": REFUSAL, "expertise": MATCH}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"space": {"method": "sce", "weight": None}},
            "needs a method that is differentiable .* 'sce'. Use one of linear, .*",
        ),
        ({"space": {"weight": 0.5, "method": "ties"}}, "needs `weight` or `lambda` to be searched, .* Give it bounds"),
        (
            {"objectives": PLAIN},
            "needs an objective .* `objectives.alignment` 'refusal', .* 'exact_match'. Use .*refusal_margin",
        ),
    ],
)
def test_gradients_that_cannot_be_had_are_refused(changes: dict[str, Any], message: str, prepare: Prepare) -> None:
    """And the message names what would do; elsewhere another sampler is chosen."""
    with pytest.raises(
        SpecificationError, match=f"`search.sampler: gradient` {message}.* another sampler: auto, random"
    ):
        prepare(search=GRADIENT, **changes)
    prepared = prepare(search=AUTO, **changes)
    assert (prepared.differentiable, prepared.choose_sampler()[0], prepared.gradient_cost) == ((), "tpe", None)


def test_an_engine_without_gradients_is_refused(
    tmp_path: Path, study_name: str, write_specification: Callable[..., Path]
) -> None:
    """Also where it runs elsewhere and need not be installed here."""

    def prepare(sampler: str) -> PreparedSearch:
        search, workers = {"sampler": sampler}, {"engine": "vllm"}
        path = write_specification(tmp_path, name=study_name, search=search, workers=workers)
        return prepare_search(load_specification(path), checks_engine=False)

    with pytest.raises(SpecificationError, match=r"needs `workers.engine: transformers`, .*'vllm'"):
        prepare("gradient")
    assert prepare("auto").differentiable == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"space": {"method": "ties", "weight": 0.5, "lambda": [0.5, 1.5]}},
        {"space": {"method": "dare_ties"}},
        {"objectives": {"alignment": MARGIN, "expertise": MATCH}},
    ],
)
def test_one_gradient_is_enough(changes: dict[str, Any], prepare: Prepare) -> None:
    for search in (GRADIENT, AUTO):
        prepared = prepare(search=search, **changes)
        name, _ = prepared.choose_sampler()
        assert (name, prepared.shape.n_differentiable) == ("gradient", len(prepared.differentiable))
        assert prepared.plan().differentiable == prepared.differentiable
        assert prepared.gradient_cost == 3.0
        assert set(prepared.differentiable) <= {"alignment", "expertise"}


def test_auto_says_why(prepare: Prepare) -> None:
    _, reason = prepare(search=AUTO | {"gradient_share": 0.25}).choose_sampler()
    assert "2 of the objectives can be differentiated" in reason
    assert "1.5 evaluations" in reason


def test_a_budget_below_one_gradient_is_for_others(prepare: Prepare) -> None:
    names = [prepare(search=AUTO | {"evaluations": n}).choose_sampler()[0] for n in (2, 3)]
    assert names[0] != "gradient" == names[1]


@pytest.mark.parametrize("sampler", ["random", "auto"])
def test_a_share_without_gradients_is_refused(sampler: str, prepare: Prepare) -> None:
    with pytest.raises(
        SpecificationError, match=r"`search.gradient_share` needs `search.sampler: gradient`, .*got 0.5"
    ):
        prepare(search={"sampler": sampler, "gradient_share": 0.5}, objectives=PLAIN)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, "half"])
def test_a_share_is_of_a_set(share: Any, prepare: Prepare) -> None:
    with pytest.raises(SpecificationError, match=r"`search\.gradient_share` must be "):
        prepare(search=GRADIENT | {"gradient_share": share})


@pytest.mark.parametrize("sampler", ["gradient", "auto"])
def test_a_share_must_leave_an_example(sampler: str, prepare: Prepare) -> None:
    n = len(prepare().measures["alignment"].examples)
    least = least_share(n)
    with pytest.raises(SpecificationError, match=rf"example of `objectives.alignment.set`, which has {n}: .*{least:g}"):
        prepare(search={"sampler": sampler, "gradient_share": 0.9 / n})
    assert prepare(search={"sampler": sampler, "gradient_share": least}).gradient_cost == 1 + 2 * least


def test_the_least_share_leaves_an_example() -> None:
    for n in range(1, 3000):
        told = float(f"{least_share(n):g}")
        assert int(told * n) == 1
        assert told <= 1
        assert int(0.98 * told * n) == 0


def test_only_objectives_that_are_differentiated_need_an_example(prepare: Prepare) -> None:
    objectives = {
        "alignment": REFUSAL,
        "expertise": {"set": str(FAMILY / "domain.jsonl"), "scorer": "answer_likelihood"},
    }
    prepared = prepare(search=GRADIENT | {"gradient_share": 0.5}, objectives=objectives)
    assert prepared.differentiable == ("expertise",)


def test_sampler_and_share_may_change_in_a_study(prepare: Prepare) -> None:
    others = [
        prepare(search=search) for search in (GRADIENT, GRADIENT | {"gradient_share": 0.5}, {"sampler": "random"})
    ]
    assert len({str(other.identity.fixed) for other in others}) == 1
