"""Optuna Dashboard behind our access: at its own addresses, over our database, reading only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient


@pytest.fixture
def study(launched: str, tell: Callable[..., None]) -> str:
    tell((0.1, 0.9), (0.9, 0.1))
    return launched


@pytest.fixture
def study_id(client: TestClient, study: str) -> int:
    studies = client.get("/api/studies").json()["study_summaries"]
    return next(int(each["study_id"]) for each in studies if each["study_name"] == study)


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/", "/dashboard/studies/1/graph"])
def test_its_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert "<title>Optuna Dashboard</title>" in answer.text
    # Its own policy, which its drawings need; ours is for our page.
    assert "'unsafe-eval'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_it_reads_our_studies(client: TestClient, study_id: int) -> None:
    shown = client.get(f"/api/studies/{study_id}").json()
    finished = [trial["number"] for trial in shown["trials"] if trial["state"] == "Complete"]
    assert finished == [0, 1]
    assert client.get(f"/csv/{study_id}").status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "identity", None])
def test_its_bundle(client: TestClient, encoding: str | None) -> None:
    """It fails by itself where a client says nothing of encodings."""
    client.headers.pop("accept-encoding")
    headers = {"Accept-Encoding": encoding} if encoding else {}
    answer = client.get("/static/bundle.js", headers=headers)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/javascript")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/{}"),
        ("POST", "/api/studies"),
        ("POST", "/api/studies/{}/rename"),
        ("PUT", "/api/studies/{}/note"),
        ("POST", "/api/trials/1/tell"),
        ("PUT", "/api/studies/{}/1/note"),
        ("PATCH", "/dashboard"),
        ("POST", "/artifacts/1/1"),
    ],
)
def test_it_changes_nothing(client: TestClient, study_id: int, method: str, path: str) -> None:
    answer = client.request(method, path.format(study_id))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_beside_it_stays_ours(client: TestClient) -> None:
    for path in ("/dashboards", "/apis", "/incompatible-rdb-schema"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_each_service_has_one_of_its_own(make_client: Callable[..., TestClient], engine: Engine, study: str) -> None:
    """Opened by the first call: an application alone opens no storage."""
    first, second = make_client(), make_client()
    assert not hasattr(first.app.state, "dashboard")  # type: ignore[attr-defined]
    assert first.get("/api/studies").json() == second.get("/api/studies").json()
