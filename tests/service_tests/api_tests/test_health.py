"""Whether the service is alive, and whether it can work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy
from starlette.testclient import TestClient

from service.api.app import create_app
from service.settings import ServiceSettings

Pulse = Callable[[timedelta], None]


@pytest.fixture
def lost(settings: ServiceSettings) -> TestClient:
    """A client of a service whose database is gone."""
    engine = sqlalchemy.create_engine("postgresql+psycopg://postgres:geheim@127.0.0.1:9/none")
    return TestClient(create_app(settings, engine), base_url="http://localhost", raise_server_exceptions=False)


def test_ready(client: TestClient, pulse: Pulse) -> None:
    pulse(timedelta(seconds=1))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"], answer.json()["supervisor"]) == (200, "ok", "ok")


def test_a_silent_supervisor(client: TestClient, pulse: Pulse) -> None:
    pulse(timedelta(seconds=16))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"], answer.json()["database"]) == (503, "unavailable", "ok")
    assert answer.json()["supervisor"].startswith("silent since 20")
    assert client.get("/healthz").json()["status"] == "ok"


def test_a_lost_database(lost: TestClient) -> None:
    assert lost.get("/healthz").status_code == 200
    answer = lost.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "does not answer")


@pytest.mark.parametrize("path", ["/v1/searches", "/v1/searches/x", "/v1/searches/x/exports", "/v1/choices"])
def test_what_needs_the_database_says_that_it_is_lost(
    lost: TestClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = lost.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["type"] == "urn:paretomerge:problem:database"
    assert answer.headers["retry-after"] == "2"
    # What goes wrong there is for the operator.
    assert "127.0.0.1" not in answer.text
    assert "127.0.0.1" in caplog.text
    assert "geheim" not in answer.text + caplog.text


def test_an_unforeseen_error_tells_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("service.registry.SearchRegistry.all", fail)
    answer = client.get("/v1/searches")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "ZeroDivisionError" in caplog.text
