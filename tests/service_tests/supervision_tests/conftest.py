"""A supervisor over a local Ray cluster and a database of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.database.connection import connect
from service.registry import CompletionsRow, ExportRow, JobRegistry, Pulse, SearchRegistry
from service.settings import ServiceSettings
from service.specification import load_specification
from service.supervision.cluster import Cluster
from service.supervision.supervisor import Supervisor


@pytest.fixture(scope="module")
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = connect(fresh_database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def cluster(engine: Engine) -> Iterator[Cluster]:
    """With two cores."""
    cluster = Cluster("local", 2, Pulse(engine).namespace)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def settings(fresh_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    return ServiceSettings(fresh_database_url, tmp_path_factory.mktemp("exports"), n_slots=3)


@pytest.fixture(scope="module")
def make_supervisor(settings: ServiceSettings, engine: Engine, cluster: Cluster) -> Callable[[], Supervisor]:
    return lambda: Supervisor(settings, engine, cluster)


@pytest.fixture(scope="module")
def searches(engine: Engine) -> SearchRegistry:
    return SearchRegistry(engine)


@pytest.fixture(scope="module")
def exports(engine: Engine) -> JobRegistry[ExportRow]:
    return JobRegistry(engine, ExportRow)


@pytest.fixture(scope="module")
def completions(engine: Engine) -> JobRegistry[CompletionsRow]:
    return JobRegistry(engine, CompletionsRow)


@pytest.fixture(scope="module")
def launch(
    tmp_path_factory: pytest.TempPathFactory, write_specification: Callable[..., Path], searches: SearchRegistry
) -> Callable[..., str]:
    """Ask for a search; keywords as in `write_specification`. Its name."""

    def make(evaluations: int = 8, **workers: Any) -> str:
        workers, folder = {"pool": "ray", **workers}, tmp_path_factory.mktemp("search")
        path = write_specification(folder, search={"evaluations": evaluations}, workers=workers)
        return searches.create(load_specification(path)).name

    return make


@pytest.fixture(scope="module")
def supervise_until() -> Callable[..., None]:
    """Lets a supervisor go round until a condition holds, and fails if it does not in three minutes."""

    def supervise(supervisor: Supervisor, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            supervisor.go_round()
            time.sleep(0.1)

    return supervise
