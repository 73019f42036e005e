"""Registries over a real database, and specifications to be asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.database.connection import connect
from service.registry import SearchRegistry
from service.specification import Specification, load_specification


@pytest.fixture(scope="module")
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = connect(fresh_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def searches(engine: Engine) -> SearchRegistry:
    return SearchRegistry(engine)


@pytest.fixture
def specification(tmp_path: Path, study_name: str, write_specification: Callable[..., Path]) -> Specification:
    return load_specification(write_specification(tmp_path, name=study_name))
