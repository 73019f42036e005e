"""Where errors become answers: problem+json, after RFC 9457."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from search_spaces.errors import (
    AccessError,
    CheckpointError,
    DatabaseError,
    ExampleSetError,
    ExportError,
    MissingError,
    ParetomergeError,
    PoolError,
    RecipeError,
    SelectionError,
    SpecificationError,
    StateError,
    UserError,
)
from service.api.schemas import FieldProblem, Problem

MEDIA_TYPE = "application/problem+json"

# The first that an error is one of tells its status and kind.
_KINDS: tuple[tuple[type[ParetomergeError], int, str], ...] = (
    (MissingError, 404, "missing"),
    (AccessError, 403, "access"),
    (StateError, 409, "state"),
    (SpecificationError, 422, "specification"),
    (ExampleSetError, 422, "example-set"),
    (CheckpointError, 422, "checkpoint"),
    (RecipeError, 422, "recipe"),
    (SelectionError, 422, "selection"),
    (UserError, 422, "request"),
    (DatabaseError, 503, "database"),
    (PoolError, 503, "workers"),
    (ExportError, 500, "export"),
    (ParetomergeError, 500, "failure"),
)
# pydantic's kind of mistake → what must hold.
_MUST = {
    "missing": "be given",
    "extra_forbidden": "be left out: it is not known here",
    "int_type": "be a whole number",
    "int_parsing": "be a whole number",
    "int_from_float": "be a whole number",
    "bool_type": "be true or false",
    "bool_parsing": "be true or false",
    "string_type": "be text",
    "string_pattern_mismatch": "be a name of letters, digits, `.`, `_` and `-`, 100 at most",
    "string_unicode": "be text without halves of surrogate pairs",
    "uuid_parsing": "be an id, such as the service gives",
    "tuple_type": "be a list",
    "json_invalid": "be JSON",
    "model_attributes_type": "be a JSON object",
    "dict_type": "be a JSON object",
}
# Where a request's parameters come from; a mistake's place begins with it.
_SOURCES = ("body", "query", "path", "header", "cookie")
_KEY_FIRST = re.compile(r"`([^`\s]+)`")

_log = logging.getLogger("paretomerge.service")


def problem_response(
    status: int,
    kind: str,
    detail: str,
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as an answer.

    Args:
        status: of HTTP.
        kind: one word or two, for programs.
        detail: what must hold, what was given, what to do.
        errors: the single mistakes.
        headers: further ones.
    """
    problem = Problem(
        type=f"urn:paretomerge:problem:{kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=tuple(errors),
    )
    # ASCII: what a client gave comes back in details, and may hold half a surrogate pair, which UTF-8 does not take.
    content = json.dumps(problem.model_dump())
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def answer_with_problems(app: FastAPI) -> None:
    """Let an application answer every error with a problem."""
    handlers: dict[Any, Any] = {
        ParetomergeError: _of_ours,
        RequestValidationError: _of_validation,
        HTTPException: _of_http,
        SQLAlchemyError: _of_database,
        Exception: _of_unforeseen,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def problem_of(error: ParetomergeError) -> Response:
    """One of our errors as an answer."""
    status, kind = next((status, kind) for known, status, kind in _KINDS if isinstance(error, known))
    if isinstance(error, DatabaseError):
        return _unreachable(error)
    return problem_response(status, kind, str(error), mistakes_in(error))


def mistakes_in(error: ParetomergeError) -> Iterator[FieldProblem]:
    """The single mistakes that an error tells, one a line, each by the key that it begins with."""
    if not isinstance(error, UserError):
        return
    for line in filter(None, str(error).splitlines()):
        found = _KEY_FIRST.match(line)
        yield FieldProblem(key=found[1] if found else "", detail=line)


def _of_ours(_: Request, error: ParetomergeError) -> Response:
    if not isinstance(error, UserError):
        _log.error("%s: %s", type(error).__name__, error)
    return problem_of(error)


def _of_validation(_: Request, error: RequestValidationError) -> Response:
    found = [_mistake(entry) for entry in error.errors()]
    return problem_response(422, "request", " ".join(each.detail for each in found), found)


def _mistake(entry: Mapping[str, Any]) -> FieldProblem:
    location = [str(part) for part in entry["loc"]]
    key = ".".join(location[1:] if location and location[0] in _SOURCES else location)
    if entry["type"] == "json_invalid":
        key = ""  # the place is a position in the text
    # pydantic speaks of "Input", "Value", "String" and others that "should".
    said, should, rest = entry["msg"].partition(" should ")
    must = _MUST.get(entry["type"]) or (rest if should and said.isalpha() else f"hold: {entry['msg']}")
    return FieldProblem(key=key, detail=f"{f'`{key}`' if key else 'The body'} must {must}.")


def _of_http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        detail = f"There must be something at an address, but there is nothing at '{request.url.path}'."
    elif error.status_code == 405:
        detail = f"A call must use a method of its address, but '{request.url.path}' takes no {request.method}."
    elif error.status_code == 400:
        return problem_response(422, "request", "The body must be JSON in UTF-8, but cannot be read.")
    else:
        detail = str(error.detail)
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem_response(error.status_code, kind, detail, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes of an address; the first route, which refused, knows its own alone."""
    matched = [route for route in request.app.state.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in matched for method in getattr(route, "methods", None) or ()}))


def _of_database(_: Request, error: SQLAlchemyError) -> Response:
    return _unreachable(error)


def _unreachable(error: Exception) -> Response:
    # Without its words: they can hold addresses and statements, which are the operator's alone.
    _log.error("The database does not answer: %s", str(error).strip().partition("\n")[0])
    detail = "The database must answer, but does not. Try again in a moment; the service's log says more."
    return problem_response(503, "database", detail, headers={"Retry-After": "2"})


def _of_unforeseen(request: Request, error: Exception) -> Response:
    # The server logs the traceback.
    _log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    return problem_response(500, "unforeseen", "This was not foreseen. The service's log says what happened.")
