"""The front, its hypervolume and the points: as the command line says them, for many who ask again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.schemas import Front, HypervolumeHistory, Points
from service.results import Standing, front_json
from service.search import PreparedSearch
from service.search.measures import HOLDOUT
from service.search.selection import select_trial
from service.studies import Driver, SearchStudy, load_study
from workers.evaluation import Score

VALUES = [(0.1, 0.9), (0.5, 0.5), None, (0.9, 0.1), (0.4, 0.4), (0.499, 0.5)]
Answer = Callable[[], Any]


def within_a_second(ask: Callable[[], bool]) -> None:
    """What was read before is shown for up to 0.3 seconds."""
    deadline = time.monotonic() + 10
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def hold_out(engine: Engine, prepared: PreparedSearch) -> Callable[..., None]:
    """Stores what a trial scored on held-out examples."""

    def store(number: int, **values: float) -> None:
        with Driver(engine) as driver:
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            study.add_scores(number, {f"{name}{HOLDOUT}": Score(v, 0.05, 2, (v, v)) for name, v in values.items()})

    return store


@pytest.mark.parametrize("where", [[], ["alignment>=0.45"], ["alignment>=0.45", "expertise>=0.2"]])
def test_front_is_that_of_the_command_line(
    where: list[str], client: TestClient, launched: str, tell: Callable[..., None], engine: Engine
) -> None:
    tell(*VALUES)
    tell((0.2, 0.2), share=0.5)
    answer = client.get(f"/v1/searches/{launched}/front", params={"where": where})
    Front.model_validate_json(answer.content)
    stored = load_study(engine, launched)
    objectives = stored.identity.objectives
    selected = select_trial(stored.trials, objectives, constraints=where)
    expected = front_json(stored.trials, objectives, selected, stored.scores)
    assert answer.json() == {"study": launched, "split": "search", **json.loads(json.dumps(expected))}
    assert answer.json()["raced"] == 1


def test_front_on_held_out_examples(
    client: TestClient, launched: str, tell: Callable[..., None], hold_out: Callable[..., None]
) -> None:
    tell(*VALUES)
    hold_out(0, alignment=0.3, expertise=0.3)
    hold_out(1, alignment=0.4, expertise=0.4, refusal=0.7)
    hold_out(3, alignment=0.8, expertise=0.0)
    hold_out(4, alignment=0.9)  # not in every objective: no candidate there
    answer = client.get(f"/v1/searches/{launched}/front?split=holdout")
    found = Front.model_validate_json(answer.content)
    assert [(trial.trial, trial.values) for trial in found.front] == [
        (3, {"alignment": 0.8, "expertise": 0.0}),
        (1, {"alignment": 0.4, "expertise": 0.4}),
    ]
    assert found.front[1].standard_errors == {"alignment": 0.05, "expertise": 0.05}
    assert found.front[1].holdout["refusal"].value == 0.7
    assert (found.finished, found.failed, found.split) == (6, 1, "holdout")
    assert found.reference_point == pytest.approx((0.3 - 0.05, 0.0 - 0.04))
    assert found.hypervolume == pytest.approx(0.15 * 0.44 + 0.4 * 0.04)
    selected = client.get(f"/v1/searches/{launched}/front?split=holdout&where=alignment>=0.5").json()["selected"]
    assert selected == 3


@pytest.mark.parametrize("split", ["search", "holdout"])
def test_front_before_anything_has_finished(split: str, client: TestClient, launched: str) -> None:
    found = Front.model_validate_json(client.get(f"/v1/searches/{launched}/front?split={split}").content)
    assert (found.front, found.selected, found.hypervolume, found.finished) == ((), None, None, 0)
    assert found.objectives == ("alignment", "expertise")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("where=elegance>=1", "must be an objective"),
        ("where=alignment", "must be an objective"),
        ("where=alignment>=2", "must satisfy alignment>=2.0, but no point"),
        ("split=both", "must be"),
        (f"where={'x' * 201}", "at most 200 characters"),
        ("&".join(["where=alignment>=0"] * 17), "at most 16 items"),
    ],
)
def test_what_cannot_be_selected_is_refused(
    query: str, said: str, client: TestClient, launched: str, tell: Callable[..., None]
) -> None:
    tell((0.5, 0.5))
    answer = client.get(f"/v1/searches/{launched}/front?{query}")
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_malformed_constraint_is_refused_also_where_there_is_no_front(client: TestClient, launched: str) -> None:
    assert client.get(f"/v1/searches/{launched}/front?where=alignment").status_code == 422


@pytest.mark.parametrize("part", ["front", "hypervolume", "points", "trials", "trials/0", "events"])
def test_unknown_search_is_missing(part: str, client: TestClient) -> None:
    answer = client.get(f"/v1/searches/nobody/{part}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "none named 'nobody'" in answer.json()["detail"]


@pytest.mark.parametrize("part", ["front", "hypervolume", "points", "trials", "trials/0"])
def test_who_has_an_answer_is_not_sent_it_again(
    part: str, client: TestClient, launched: str, tell: Callable[..., None]
) -> None:
    tell((0.5, 0.5))
    address = f"/v1/searches/{launched}/{part}"
    first = client.get(address)
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert first.content == plain.content
    assert first.headers["etag"] == plain.headers["etag"]
    again = client.get(address, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_who_has_an_old_answer_is_sent_the_new_one(
    client: TestClient, launched: str, tell: Callable[..., None]
) -> None:
    tell((0.5, 0.5))
    address = f"/v1/searches/{launched}/front"
    known = {"If-None-Match": client.get(address).headers["etag"]}
    tell((0.6, 0.6))
    within_a_second(lambda: client.get(address, headers=known).status_code == 200)
    assert client.get(address).json()["finished"] == 2


def test_answers_are_compressed_for_who_takes_it(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell(*VALUES)
    address = f"/v1/searches/{launched}/points"
    assert client.get(address, headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get(address, headers={"Accept-Encoding": "identity"}).headers


def test_hypervolume_over_evaluations(
    client: TestClient, launched: str, tell: Callable[..., None], engine: Engine
) -> None:
    tell(*VALUES, (0.6, 0.6))
    answer = client.get(f"/v1/searches/{launched}/hypervolume")
    found = HypervolumeHistory.model_validate_json(answer.content)
    standing = Standing(load_study(engine, launched).trials, 2)
    assert found.reference_point == standing.reference_point
    assert [(step.n_finished, step.hypervolume) for step in found.steps] == standing.hypervolume_steps
    assert found.n_finished == 7
    assert client.get(f"/v1/searches/{launched}/front").json()["hypervolume"] == pytest.approx(
        found.steps[-1].hypervolume
    )


def test_points_are_all_finished_trials(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((1 / 3, 0.9), None)
    found = Points.model_validate_json(client.get(f"/v1/searches/{launched}/points").content)
    assert found.reset
    assert found.numbers == (0, 1)
    assert found.values == {"alignment": (0.3333333, None), "expertise": (0.9, None)}
    assert found.standard_errors == {"alignment": (0.01, None), "expertise": (0.01, None)}
    assert found.landmarks[0] == "base"
    assert found.failures == (None, "out_of_memory")
