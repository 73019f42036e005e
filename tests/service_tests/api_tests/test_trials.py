"""Finished trials by the page, and one with all that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.schemas import Trial, TrialDetail, TrialsPage
from service.search import PreparedSearch
from service.search.measures import HOLDOUT
from service.studies import Driver, SearchStudy, load_study
from workers.evaluation import Score

N_TRIALS = 11


@pytest.fixture
def told(launched: str, tell: Callable[..., None]) -> str:
    """A search with eleven finished trials, the third of them failed."""
    tell(*(None if i == 2 else (i / 10, 1 - i / 10) for i in range(N_TRIALS)))
    return launched


def page(client: TestClient, name: str, **query: Any) -> TrialsPage:
    return TrialsPage.model_validate_json(client.get(f"/v1/searches/{name}/trials", params=query).content)


@pytest.mark.parametrize("limit", [1, 4, 11, 1000])
def test_pages_together_are_all_trials(limit: int, client: TestClient, told: str, engine: Engine) -> None:
    found: list[Trial] = []
    offset: int | None = 0
    while offset is not None:
        part = page(client, told, offset=offset, limit=limit)
        assert (part.total, part.offset) == (N_TRIALS, offset)
        assert len(part.trials) <= limit
        found += part.trials
        offset = part.next_offset
    stored = load_study(engine, told).trials
    assert [trial.number for trial in found] == [trial.number for trial in stored]
    assert [tuple(trial.values.values()) for trial in found] == [trial.values for trial in stored]
    assert [trial.landmark or "" for trial in found] == [trial.landmark for trial in stored]


def test_page_behind_the_last_trial_is_empty(client: TestClient, told: str) -> None:
    assert page(client, told, offset=2**31 - 1).model_dump() == {
        "trials": (),
        "total": N_TRIALS,
        "offset": 2**31 - 1,
        "next_offset": None,
    }


def test_trial_of_a_page(client: TestClient, told: str) -> None:
    complete, failed = page(client, told, offset=1, limit=2).trials
    assert (complete.state, complete.values, complete.failure) == (
        "complete",
        {"alignment": 0.1, "expertise": 0.9},
        None,
    )
    assert complete.standard_errors == {"alignment": 0.01, "expertise": 0.01}
    assert (complete.make_s, complete.score_s, complete.share) == (0.1, 0.2, 1.0)
    assert complete.params is None
    assert (complete.gradient_failure, failed.gradient_failure) == (None, None)
    assert (failed.state, failed.values, failed.failure) == ("failed", {}, "out_of_memory")


def test_parameters_are_given_with_a_page(client: TestClient, told: str, engine: Engine) -> None:
    found = page(client, told, offset=3, limit=5, params=True).trials
    stored = {trial.number: dict(trial.params) for trial in load_study(engine, told).trials}
    assert {trial.number: trial.params for trial in found} == {number: stored[number] for number in range(3, 8)}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", f"offset={2**31}", "limit=many", "params=2"])
def test_impossible_pages_are_refused(query: str, client: TestClient, told: str) -> None:
    assert client.get(f"/v1/searches/{told}/trials?{query}").status_code == 422


def test_one_trial_has_its_coefficients(client: TestClient, told: str, prepared: PreparedSearch) -> None:
    found = TrialDetail.model_validate_json(client.get(f"/v1/searches/{told}/trials/9").content)
    assert found.params is not None
    recipe = prepared.recipe(found.params)
    assert found.coefficients.models == ("aligned", "expert", "*")
    assert found.coefficients.groups == tuple(recipe.groups)
    *weights, of_all = found.coefficients.values["weight"]
    assert weights == [
        tuple(recipe.coefficients[model][group]["weight"] for group in recipe.groups) for model in ("aligned", "expert")
    ]
    assert of_all == (None,) * len(recipe.groups)


def test_one_trial_has_all_its_scores(client: TestClient, told: str, prepared: PreparedSearch, engine: Engine) -> None:
    with Driver(engine) as driver:
        study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
        study.add_scores(4, {f"refusal{HOLDOUT}": Score(0.25, None, 1, (0.25,))})
    found = client.get(f"/v1/searches/{told}/trials/4").json()["scores"]
    assert found == {
        "alignment": {"value": 0.4, "standard_error": 0.01, "n": 4},
        "expertise": {"value": 0.6, "standard_error": 0.01, "n": 4},
        "refusal@holdout": {"value": 0.25, "standard_error": None, "n": 1},
    }


def test_trial_that_lost_a_race_has_its_estimates(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((0.5, 0.25), share=0.5)
    found = TrialDetail.model_validate_json(client.get(f"/v1/searches/{launched}/trials/0").content)
    assert {name: (score.value, score.n) for name, score in found.scores.items()} == {
        "alignment": (0.5, 4),
        "expertise": (0.25, 4),
    }
    assert found.share == 0.5


def test_failed_trial_has_coefficients_and_no_scores(client: TestClient, told: str) -> None:
    found = TrialDetail.model_validate_json(client.get(f"/v1/searches/{told}/trials/2").content)
    assert (found.state, found.scores) == ("failed", {})
    assert found.coefficients.values.keys() == {"weight", "lambda"}


def test_trial_is_shown_also_when_its_models_are_gone(
    make_client: Callable[..., TestClient], told: str, roots: Path
) -> None:
    address = f"/v1/searches/{told}/trials/9"
    base = roots / "models" / "base"
    expected = make_client().get(address).json()
    base.rename(roots / "gone")
    try:
        assert make_client().get(address).json() == expected
    finally:
        (roots / "gone").rename(base)


@pytest.mark.parametrize(("number", "status"), [("11", 404), (2**31 - 1, 404), (2**31, 422), (-1, 422), ("first", 422)])
def test_trial_that_is_not_there(number: object, status: int, client: TestClient, told: str) -> None:
    assert client.get(f"/v1/searches/{told}/trials/{number}").status_code == status


def test_running_trial_is_not_shown_yet(
    client: TestClient, told: str, prepared: PreparedSearch, engine: Engine
) -> None:
    with Driver(engine) as driver:
        asked = SearchStudy(engine, driver, prepared.identity, prepared.plan()).ask()
        assert asked is not None
        answer = client.get(f"/v1/searches/{told}/trials/{asked.number}")
    assert answer.status_code == 404
    assert f"one of the {N_TRIALS} finished ones" in answer.json()["detail"]
