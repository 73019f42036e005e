"""Searches over HTTP: launched, listed, stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.queue_limits import MAX_JOBS
from service.demo import demo_specification
from service.registry import SearchRegistry, SearchState
from service.specification import restore_specification
from service.supervision.search_driver import prepared_for_service

Changed = Callable[..., dict[str, Any]]


@pytest.fixture
def changed(specification: dict[str, Any]) -> Changed:
    """The specification with keys of its sections replaced."""

    def change(**sections: Any) -> dict[str, Any]:
        merged = {
            name: {**specification.get(name, {}), **given} if isinstance(given, dict) else given
            for name, given in sections.items()
        }
        return specification | merged

    return change


def mistakes(answer: Any) -> dict[str, str]:
    """Key → detail of a refused specification."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {error["key"]: error["detail"] for error in answer.json()["errors"]}


# ---- launching ----


def test_launch(client: TestClient, specification: dict[str, Any], roots: Path) -> None:
    answer = client.post("/v1/searches", json=specification)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/searches/{specification['name']}"
    assert (answer.json()["state"], answer.json()["budget"]) == ("queued", 20)
    assert client.get(answer.headers["location"]).json() == answer.json()
    stored = answer.json()["specification"]
    assert stored["models"]["base"] == str(roots / "models" / "base")
    assert stored["objectives"]["alignment"]["set"] == str(roots / "sets" / "safety.jsonl")


def test_launch_from_the_front_of_another_search(
    client: TestClient, specification: dict[str, Any], launched: str, tell: Callable[..., None], engine: Engine
) -> None:
    again = {**specification, "name": f"{launched}-2"}
    again["search"] = {**specification["search"], "start": [{"front_of": launched}], "landmarks": False}
    tell((0.1, 0.9), (0.2, 0.8), (0.1, 0.1))
    answer = client.post("/v1/searches", json=again)
    assert answer.status_code == 201, answer.text
    assert answer.json()["specification"]["search"]["start"] == [{"front_of": launched}]
    driven = prepared_for_service(answer.json()["specification"], engine)
    assert {landmark.name for landmark in driven.start} == {f"{launched} #0", f"{launched} #1"}
    again["search"]["start"] = [{"front_of": "nowhere"}]
    refused = mistakes(client.post("/v1/searches", json={**again, "name": f"{launched}-3"}))
    assert "there is none named 'nowhere'" in refused["search.start"]


def test_launch_by_yaml(client: TestClient, specification: dict[str, Any]) -> None:
    content = yaml.safe_dump(specification, sort_keys=False).encode()
    answer = client.post("/v1/searches", content=content, headers={"Content-Type": "application/yaml; charset=utf-8"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["objectives"] == ["alignment", "expertise"]


def test_the_demonstration_can_be_launched(client: TestClient, study_name: str) -> None:
    answer = client.post("/v1/searches", json=yaml.safe_load(demo_specification(study_name, 10, 2)))
    assert answer.status_code == 201, answer.text


def test_objectives_keep_their_order(client: TestClient, specification: dict[str, Any]) -> None:
    """They are the order of the trials' values: a database that sorted keys would exchange the values."""
    names = ("zeal", "alignment", "b")
    measure = specification["objectives"]["alignment"]
    specification["objectives"] = dict.fromkeys(names, measure)
    assert client.post("/v1/searches", json=specification).status_code == 201
    shown = client.get(f"/v1/searches/{specification['name']}").json()
    assert tuple(shown["objectives"]) == names
    assert tuple(shown["specification"]["objectives"]) == names


def test_what_is_held_out_is_said(client: TestClient, launched: str) -> None:
    assert client.get(f"/v1/searches/{launched}").json()["holdout_measures"] == ["alignment", "expertise", "refusal"]


def test_a_name_is_taken_once(client: TestClient, launched: str, specification: dict[str, Any]) -> None:
    answer = client.post("/v1/searches", json=specification)
    assert answer.status_code == 409
    assert launched in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        ({"space": {"granularty": "layer"}}, "space.granularty", "Did you mean `granularity`?"),
        ({"search": {"evaluations": "many"}}, "search.evaluations", "must be a whole number"),
        ({"workers": {"pool": "in_process"}}, "workers.pool", "the service's own cluster"),
        ({"workers": {"address": "ray://elsewhere:10001"}}, "workers.address", "the service's own cluster"),
        ({"models": {"base": "nowhere"}}, "models.base", "'nowhere' is none there"),
        ({"search": {"sampler": "magic"}}, "search.sampler", "nsga2"),
        ({"name": "no name"}, "name", "letters, digits"),
    ],
)
def test_mistakes_are_told_by_key(
    client: TestClient, changed: Changed, changes: dict[str, Any], key: str, hint: str
) -> None:
    assert hint in mistakes(client.post("/v1/searches", json=changed(**changes)))[key]


def test_all_mistakes_are_told_at_once(client: TestClient, changed: Changed) -> None:
    found = mistakes(client.post("/v1/searches", json=changed(space={"methd": "ties"}, workers={"count": 0})))
    assert set(found) == {"space.methd", "workers.count"}


@pytest.mark.parametrize(("ray_address", "status"), [("local", 422), ("10.0.0.1:6379", 201)])
def test_an_engine_must_be_installed_where_workers_run(
    make_client: Callable[..., TestClient], changed: Changed, ray_address: str, status: int
) -> None:
    workers = {"engine": "vllm", "gpus_per_worker": 1}
    answer = make_client(ray_address=ray_address).post("/v1/searches", json=changed(workers=workers))
    assert answer.status_code == status, answer.text
    assert status == 422 or answer.json()["specification"]["workers"]["address"] == "local"


def test_synthesis_is_done_elsewhere(client: TestClient, changed: Changed) -> None:
    synthesis = {"generator": "base", "safety": {}}
    assert (
        "paretomerge synthesize"
        in mistakes(client.post("/v1/searches", json=changed(synthesis=synthesis)))["synthesis"]
    )


@pytest.mark.parametrize(
    ("content", "media_type", "hint"),
    [
        (b"{", "application/json", "must be JSON"),
        (b"[]", "application/json", "must be a mapping of keys"),
        (b"name: x", "application/json", "must be JSON"),
        (b"a: [", "application/yaml", "must be YAML"),
        (b"\xff\xfe", "application/yaml", "must be text in UTF-8"),
        (b"", "application/json", "must be JSON"),
        (b'{"name": "a", "name": "b"}', "application/json", "`name` is given twice"),
        (b"name: a\nname: b\n", "application/yaml", "`name` is given twice, in line 2"),
        (b'{"name": "\\ud800"}', "application/json", "plain text"),
    ],
)
def test_what_is_no_specification(client: TestClient, content: bytes, media_type: str, hint: str) -> None:
    answer = client.post("/v1/searches", content=content, headers={"Content-Type": media_type})
    assert answer.status_code == 422
    assert hint in answer.json()["detail"]


def test_json_with_tabs_is_json(client: TestClient, specification: dict[str, Any]) -> None:
    content = json.dumps(specification, indent="\t")
    answer = client.post("/v1/searches", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text


# ---- reading ----


def test_counts_come_from_the_study(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((0.1, 0.9), None, (0.9, 0.1))
    shown = client.get(f"/v1/searches/{launched}").json()
    assert (shown["n_finished"], shown["n_failed"], shown["n_running"]) == (3, 1, 0)
    listed = client.get("/v1/searches").json()["searches"]
    assert {key: shown[key] for key in listed[0]} in listed


def test_the_newest_is_listed_first(client: TestClient, specification: dict[str, Any]) -> None:
    for suffix in ("one", "two"):
        assert client.post(
            "/v1/searches", json=specification | {"name": f"{specification['name']}-{suffix}"}
        ).is_success
    names = [search["name"] for search in client.get("/v1/searches").json()["searches"]]
    assert names[:2] == [f"{specification['name']}-two", f"{specification['name']}-one"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_search(client: TestClient, method: str) -> None:
    path = "/v1/searches/nothing" if method == "get" else "/v1/searches/nothing/stop"
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:paretomerge:problem:missing"


@pytest.mark.parametrize("name", ["%00", "a%20b", "..%2fx", "x" * 101])
def test_a_name_that_none_has(client: TestClient, name: str) -> None:
    assert client.get(f"/v1/searches/{name}").status_code in (404, 422)


# ---- stopping and resuming ----


def test_stop_and_resume(client: TestClient, launched: str) -> None:
    stopped = client.post(f"/v1/searches/{launched}/stop")
    assert (stopped.status_code, stopped.json()["state"]) == (202, "stopped")
    again = client.post(f"/v1/searches/{launched}/stop")
    assert (again.status_code, again.json()["type"]) == (409, "urn:paretomerge:problem:state")
    resumed = client.post(f"/v1/searches/{launched}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (202, "queued")
    assert client.post(f"/v1/searches/{launched}/resume").status_code == 409


def test_a_running_search_stops_later(client: TestClient, engine: Engine, launched: str) -> None:
    SearchRegistry(engine).start(launched)
    assert client.post(f"/v1/searches/{launched}/stop").json()["state"] == SearchState.STOPPING
    SearchRegistry(engine).end(launched, SearchState.STOPPED)


def test_resume_with_a_larger_budget(client: TestClient, launched: str, changed: Changed) -> None:
    client.post(f"/v1/searches/{launched}/stop")
    answer = client.post(f"/v1/searches/{launched}/resume", json=changed(search={"evaluations": 50}))
    assert (answer.status_code, answer.json()["budget"]) == (202, 50)


def test_resume_with_another_search(client: TestClient, launched: str, changed: Changed) -> None:
    client.post(f"/v1/searches/{launched}/stop")
    found = mistakes(client.post(f"/v1/searches/{launched}/resume", json=changed(name="another")))
    assert "'another'" in found["name"]


def test_resume_with_what_the_study_is_not(
    client: TestClient, launched: str, tell: Callable[..., None], changed: Changed
) -> None:
    """Its driver would refuse it, and the row would be left with it."""
    tell((0.5, 0.5))
    before = client.post(f"/v1/searches/{launched}/stop").json()["specification"]
    answer = client.post(f"/v1/searches/{launched}/resume", json=changed(search={"seed": 7}))
    assert answer.status_code == 422
    assert "`search.seed`" in answer.json()["detail"]
    after = client.get(f"/v1/searches/{launched}").json()
    assert (after["state"], after["specification"]) == ("stopped", before)


def test_small_number_is_stored_as_a_number(client: TestClient, changed: Changed, engine: Engine) -> None:
    """Python writes it as 1e-05, which is text to YAML."""
    launched = client.post("/v1/searches", json=changed(space={"weight": [0.00001, 1.5]})).json()
    row = SearchRegistry(engine).get(launched["name"])
    assert restore_specification(row.specification).space.weight == (0.00001, 1.5)


def test_too_many_jobs_of_a_search_are_refused(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((0.5, 0.5))
    for _ in range(MAX_JOBS):
        assert client.post(f"/v1/searches/{launched}/exports").status_code == 202
    for kind, body in (("exports", {}), ("completions", {"trial": 0, "prompts": ["hello"]})):
        answer = client.post(f"/v1/searches/{launched}/{kind}", json=body)
        assert answer.status_code == 409
        assert f"'{launched}' has {MAX_JOBS}" in answer.json()["detail"]


def test_a_body_of_stop_is_not_read(client: TestClient, launched: str) -> None:
    assert client.post(f"/v1/searches/{launched}/stop", json={"when": "now"}).status_code == 202


def test_a_search_of_a_command_is_shown(
    client: TestClient, engine: Engine, tell: Callable[..., None], launched: str
) -> None:
    """Its row goes, as if a command had made the study, and it is the service's once it is resumed."""
    tell((0.5, 0.5))
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM paretomerge_searches WHERE name = %s", (launched,))
    shown = client.get(f"/v1/searches/{launched}").json()
    assert (shown["state"], shown["n_finished"], shown["created_at"]) == ("external", 1, None)
    assert client.post(f"/v1/searches/{launched}/stop").status_code == 409
    resumed = client.post(f"/v1/searches/{launched}/resume").json()
    assert (resumed["state"], resumed["objectives"]) == ("queued", ["alignment", "expertise"])
