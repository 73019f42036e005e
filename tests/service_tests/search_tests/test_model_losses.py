"""Models alone on the answers of a search's examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search_spaces.errors import SpecificationError
from service.demo import FAMILY
from service.search import PreparedSearch
from service.search.model_losses import answer_sets, model_losses

Prepare = Callable[..., PreparedSearch]

SAFETY, DOMAIN = str(FAMILY / "safety.jsonl"), str(FAMILY / "domain.jsonl")


def test_a_set_counts_once_and_with_what_the_search_sees(prepare: Prepare) -> None:
    prepared = prepare(objectives={"again": {"set": SAFETY, "scorer": "answer_likelihood"}})
    measures = answer_sets(prepared)
    assert list(measures) == [SAFETY, DOMAIN]
    assert measures[SAFETY].examples == prepared.measures["alignment"].examples
    assert {len(measure.examples) for measure in answer_sets(prepared, 5).values()} == {5}


def test_sets_without_answers_are_passed_over(prepare: Prepare, write_set: Callable[..., str]) -> None:
    asked = {"set": write_set({"prompt": "q"}), "scorer": "refusal"}
    assert list(answer_sets(prepare(objectives={"alignment": asked}))) == [DOMAIN]
    with pytest.raises(SpecificationError, match="must have a set with an `answer` in every example"):
        answer_sets(prepare(objectives={"alignment": asked, "expertise": asked}))


@pytest.mark.parametrize("space", [{"method": "task_arithmetic"}, {"method": "sce", "weight": None}])
def test_each_is_scored_alone_whatever_is_searched(prepare: Prepare, space: dict[str, object]) -> None:
    prepared = prepare(space=space)
    told: list[str] = []
    losses = model_losses(prepared, ("aligned", "expert"), answer_sets(prepared, 8), told.append)
    with prepared.open_pool() as pool:
        expert = pool.score_saved(FAMILY / "expert", ("expertise",))["expertise"]
        aligned = pool.score_saved(FAMILY / "aligned", ("expertise",))["expertise"]
    domain = model_losses(prepared, ("aligned", "expert"), {DOMAIN: answer_sets(prepared)[DOMAIN]})
    assert told == ["aligned", "expert"]
    assert losses.keys() == domain.keys() == {"aligned", "expert"}
    assert domain == pytest.approx({"aligned": -aligned.value, "expert": -expert.value}, abs=1e-3)
