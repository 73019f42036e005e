"""Exports over HTTP: a trial is selected when they are asked for, and each has a folder of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.registry import ExportRow, JobRegistry

Tell = Callable[..., None]
# A front of three with a knee, and one trial behind it.
FRONT = ((0.0, 1.0), (0.8, 0.8), (1.0, 0.0), (0.1, 0.1))


@pytest.fixture
def told(launched: str, tell: Tell) -> str:
    tell(*FRONT, None)
    return launched


def asked(client: TestClient, name: str, **wanted: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/searches/{name}/exports", json=wanted)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    assert client.get(answer.headers["location"]).json() == found
    return found


def test_the_knee_is_exported_by_default(client: TestClient, told: str, tmp_path: Path) -> None:
    export = asked(client, told)
    assert (export["trial"], export["state"], export["scores"]) == (1, "queued", None)
    assert Path(export["folder"]) == tmp_path / "merges" / f"{told}-trial-1"


@pytest.mark.parametrize(("wanted", "trial"), [({"trial": 3}, 3), ({"where": ["alignment>=0.9"]}, 2)])
def test_a_trial_is_selected(client: TestClient, told: str, wanted: dict[str, Any], trial: int) -> None:
    assert asked(client, told, **wanted)["trial"] == trial


def test_the_selection_is_made_once(client: TestClient, told: str, tell: Tell) -> None:
    export = asked(client, told)
    tell((0.99, 0.99))
    # What is shown of a study may be some tenths of a second old.
    while client.get(f"/v1/searches/{told}/front").json()["finished"] < len(FRONT) + 2:
        time.sleep(0.02)
    assert client.get(f"/v1/exports/{export['id']}").json()["trial"] == 1
    assert asked(client, told)["trial"] == 5


def test_default_folders_differ(client: TestClient, told: str, tmp_path: Path) -> None:
    (tmp_path / "merges" / f"{told}-trial-1-2").mkdir(parents=True)
    folders = [Path(asked(client, told)["folder"]).name for _ in range(2)]
    assert folders == [f"{told}-trial-1", f"{told}-trial-1-3"]


def test_a_folder_is_taken_once(client: TestClient, told: str) -> None:
    assert asked(client, told, to="mine")["folder"].endswith("/mine")
    answer = client.post(f"/v1/searches/{told}/exports", json={"to": "mine"})
    assert (answer.status_code, answer.json()["errors"][0]["key"]) == (409, "to")


def test_of_calls_at_once_one_gets_the_folder(client: TestClient, told: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(client.post, f"/v1/searches/{told}/exports", json={"to": "mine"}) for _ in range(4)]
        defaults = [pool.submit(asked, client, told) for _ in range(4)]
    assert sorted(call.result().status_code for call in calls) == [202, 409, 409, 409]
    assert len({each.result()["folder"] for each in defaults}) == 4


def test_the_folder_of_a_failed_export_is_free(client: TestClient, engine: Engine, told: str) -> None:
    export = client.post(f"/v1/searches/{told}/exports", json={"to": "again"}).json()
    JobRegistry(engine, ExportRow).fail(export["id"], "the disk was full")
    assert client.get(f"/v1/exports/{export['id']}").json()["message"] == "the disk was full"
    assert asked(client, told, to="again")["state"] == "queued"


def test_an_existing_folder_is_kept(client: TestClient, told: str, tmp_path: Path) -> None:
    (tmp_path / "merges" / "mine").mkdir(parents=True)
    assert client.post(f"/v1/searches/{told}/exports", json={"to": "mine"}).status_code == 409


@pytest.mark.parametrize("to", ["../out", "/tmp/out", "a/b", ".hidden", "..", "", "a\n", "x" * 101])
def test_a_folder_lies_below_the_root(client: TestClient, told: str, to: str) -> None:
    answer = client.post(f"/v1/searches/{told}/exports", json={"to": to})
    assert (answer.status_code, answer.json()["errors"][0]["key"]) == (422, "to")


@pytest.mark.parametrize(
    ("wanted", "status", "hint"),
    [
        ({"trial": 4}, 422, "it failed"),
        ({"trial": 99}, 404, "99 is none"),
        ({"trial": 1, "where": ["alignment>=0.5"]}, 422, "got both"),
        ({"where": ["kindness>=0.5"]}, 422, "kindness"),
        ({"where": ["alignment>=2"]}, 422, "alignment"),
        ({"max_shard_size": "much"}, 422, "`max_shard_size`"),
        ({"tril": 1}, 422, "`tril` must be left out"),
        ({"trial": "1"}, 422, "`trial` must be a whole number"),
        ({"trial": -1}, 422, "`trial`"),
    ],
)
def test_what_cannot_be_exported(client: TestClient, told: str, wanted: dict[str, Any], status: int, hint: str) -> None:
    answer = client.post(f"/v1/searches/{told}/exports", json=wanted)
    assert answer.status_code == status
    assert hint in answer.json()["detail"]


def test_a_trial_that_lost_a_race_is_refused(client: TestClient, launched: str, tell: Tell) -> None:
    tell((0.5, 0.5), share=0.25)
    answer = client.post(f"/v1/searches/{launched}/exports", json={"trial": 0})
    assert answer.status_code == 422
    assert "racing stopped" in answer.json()["detail"]


def test_nothing_is_exported_before_anything_is_scored(client: TestClient, launched: str) -> None:
    answer = client.post(f"/v1/searches/{launched}/exports", json={})
    assert answer.status_code == 422
    assert "finished" in answer.json()["detail"]


def test_results_are_shown(client: TestClient, engine: Engine, told: str) -> None:
    export = asked(client, told)
    result = {"scores": {"alignment": 0.8}, "largest_difference": 1e-7}
    JobRegistry(engine, ExportRow).finish(export["id"], result)
    shown = client.get(f"/v1/exports/{export['id']}").json()
    assert {key: shown[key] for key in result} == result
    assert client.get(f"/v1/searches/{told}/exports").json()["exports"] == [shown]


def test_an_unknown_export(client: TestClient) -> None:
    assert client.get("/v1/exports/00000000-0000-0000-0000-000000000000").status_code == 404
    assert client.get("/v1/exports/7").status_code == 422
