"""Small searches over the bundled family, and what the database holds of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from service.search import PreparedSearch, prepare_search
from service.specification import load_specification


@pytest.fixture
def prepare(
    tmp_path: Path,
    database: str,
    study_name: str,
    write_specification: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., PreparedSearch]:
    """Prepare a search of the test's own name; keywords as in `write_specification`."""
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)

    def make(**changes: Any) -> PreparedSearch:
        return prepare_search(load_specification(write_specification(tmp_path, **{"name": study_name} | changes)))

    return make


@pytest.fixture
def states(engine: Engine, study_name: str) -> Callable[[], list[str]]:
    """The state of every trial of the test's study, by number."""
    statement = text("SELECT state FROM trials JOIN studies USING (study_id) WHERE study_name = :name ORDER BY number")

    def read() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(statement, {"name": study_name}).scalars())

    return read


@pytest.fixture
def messages(engine: Engine, study_name: str) -> Callable[[], dict[int, str]]:
    """Why trials of the test's study failed, in words."""
    statement = text(
        "SELECT number, value_json FROM trials JOIN studies USING (study_id)"
        " JOIN trial_user_attributes USING (trial_id) WHERE study_name = :name AND key = 'failure_message'"
    )

    def read() -> dict[int, str]:
        with engine.connect() as connection:
            return {row.number: row.value_json for row in connection.execute(statement, {"name": study_name})}

    return read
