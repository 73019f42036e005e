"""Errors as answers: each kind by its status, told in its own words or, where they are nobody's business, not."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from search_spaces.errors import (
    AccessError,
    CheckpointError,
    DatabaseError,
    ExampleSetError,
    ExportError,
    IncompatibleModelsError,
    MissingError,
    ParetomergeError,
    PoolError,
    RecipeError,
    SelectionError,
    SpecificationError,
    StateError,
)
from service.api.problems import answer_with_problems, mistakes_in


def answer_to(error: Exception) -> tuple[int, dict[str, object]]:
    """Status and problem of a call that raises."""
    app = FastAPI()
    answer_with_problems(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"][:24]) == (answer.status_code, "urn:paretomerge:problem:")
    return answer.status_code, problem


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpecificationError, 422),
        (ExampleSetError, 422),
        (CheckpointError, 422),
        (IncompatibleModelsError, 422),
        (RecipeError, 422),
        (SelectionError, 422),
        (MissingError, 404),
        (AccessError, 403),
        (StateError, 409),
        (PoolError, 503),
        (ExportError, 500),
    ],
)
def test_our_errors_say_what_to_do(error: type[ParetomergeError], status: int) -> None:
    found, problem = answer_to(error("It must be so, but is not. Change it."))
    assert (found, problem["detail"]) == (status, "It must be so, but is not. Change it.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DatabaseError("no answer from db.internal"), 503),
        (OperationalError("SELECT secret", {}, Exception("no answer from db.internal")), 503),
        (RuntimeError("secret"), 500),
    ],
)
def test_what_is_the_operators_is_not_told(error: Exception, status: int) -> None:
    found, problem = answer_to(error)
    assert found == status
    assert "secret" not in str(problem)
    assert "internal" not in str(problem)


def test_every_line_is_a_mistake_of_its_key() -> None:
    error = SpecificationError("`space.method` must be one of `ties` and others.\nThe rest is fine.\n`a.b`: no.")
    assert [(each.key, each.detail) for each in mistakes_in(error)] == [
        ("space.method", "`space.method` must be one of `ties` and others."),
        ("", "The rest is fine."),
        ("a.b", "`a.b`: no."),
    ]


def test_half_a_surrogate_pair_can_be_told() -> None:
    assert answer_to(SpecificationError("got '\ud800'"))[0] == 422
