"""The service's application over a real database, with roots of the tests' own; no supervisor: nothing moves on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from service.api.app import create_app
from service.registry import SupervisorRow
from service.search import PreparedSearch, prepare_search
from service.settings import ServiceSettings
from service.specification import Specification
from service.studies import Driver, SearchStudy
from tests.uvicorn_server import running
from workers.evaluation import Evaluation, FailureReason, Score

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"
# A browser on this machine; others are refused where there is no token.
LOCAL = "http://127.0.0.1:8008"


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models`, `sets` and, outside of both, `secrets`."""
    folder = tmp_path_factory.mktemp("roots")
    for name in ("base", "aligned", "expert"):
        shutil.copytree(FAMILY / name, folder / "models" / name)
    (folder / "sets").mkdir()
    for name in ("safety.jsonl", "domain.jsonl", "benign.jsonl"):
        shutil.copy(FAMILY / name, folder / "sets")
    shutil.copytree(FAMILY / "base", folder / "secrets" / "base")
    shutil.copy(FAMILY / "safety.jsonl", folder / "secrets" / "secret.jsonl")
    return folder


@pytest.fixture
def settings(database_url: str, roots: Path, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(
        database_url=database_url, exports=tmp_path / "merges", models=(roots / "models",), sets=(roots / "sets",)
    )


@pytest.fixture
def make_client(settings: ServiceSettings, engine: Engine) -> Iterator[Callable[..., TestClient]]:
    """A client of a service of its own; keywords replace settings, headers are sent with every call."""
    opened: list[TestClient] = []

    def make(headers: dict[str, str] | None = None, **changes: Any) -> TestClient:
        app = create_app(replace(settings, **changes), engine)
        opened.append(TestClient(app, base_url=LOCAL, headers=headers, raise_server_exceptions=False))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


@pytest.fixture
def app(settings: ServiceSettings, engine: Engine) -> FastAPI:
    return create_app(settings, engine)


@pytest.fixture
def serve() -> Iterator[Callable[[FastAPI], str]]:
    """Serves an application on a port of this machine until the test ends; its URL."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(running(app))


@pytest.fixture
def pulse(engine: Engine) -> Callable[[timedelta], None]:
    """Lets the supervisor have gone round some time ago."""

    def beat(ago: timedelta) -> None:
        with Session(engine) as session, session.begin():
            session.get_one(SupervisorRow, 1).beat_at = datetime.now(UTC) - ago

    return beat


@pytest.fixture
def specification(study_name: str) -> dict[str, Any]:
    """A search over the roots' models and sets, as a client writes it; to be changed by the test."""
    return {
        "name": study_name,
        "models": {"base": "base", "experts": {"aligned": "aligned", "expert": "expert"}},
        "space": {"method": "task_arithmetic", "granularity": "layer", "weight": [0.0, 1.5]},
        "objectives": {
            "alignment": {"set": "safety.jsonl", "scorer": "refusal_margin"},
            "expertise": {"set": "domain.jsonl", "scorer": "answer_likelihood"},
        },
        "report": {"refusal": {"set": "safety.jsonl", "scorer": "refusal"}},
        "search": {"evaluations": 20, "sampler": "tpe"},
    }


@pytest.fixture
def launched(client: TestClient, specification: dict[str, Any]) -> str:
    """A search that was launched, and waits; its name."""
    assert client.post("/v1/searches", json=specification).status_code == 201
    return str(specification["name"])


@pytest.fixture
def prepared(client: TestClient, launched: str) -> PreparedSearch:
    """The launched search, as its driver would prepare it."""
    stored = client.get(f"/v1/searches/{launched}").json()["specification"]
    return prepare_search(Specification.model_validate_json(json.dumps(stored)))


@pytest.fixture
def tell(engine: Engine, prepared: PreparedSearch) -> Callable[..., None]:
    """Tells the launched search's study one trial for each pair of values; None fails, `share` is of a lost race."""

    def tell_trials(*pairs: tuple[float, float] | None, share: float = 1.0) -> None:
        with Driver(engine) as driver:
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            for pair in pairs:
                asked = study.ask()
                assert asked is not None
                study.tell(asked.number, evaluation_of(pair, share))

    return tell_trials


def evaluation_of(pair: tuple[float, float] | None, share: float) -> Evaluation:
    if pair is None:
        return Evaluation(failure=FailureReason.OUT_OF_MEMORY, message="too large")
    scores = {
        name: Score(value, 0.01, 4, (value,) * 4) for name, value in zip(("alignment", "expertise"), pair, strict=True)
    }
    return Evaluation(scores, make_s=0.1, score_s=0.2, share=share)
