"""The database as the service's parts use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from service.database.connection import connect


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    """Over the server that lives as long as the test run."""
    engine = connect(database_url)
    yield engine
    engine.dispose()
