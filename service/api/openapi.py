"""OpenAPI as it is served: FastAPI's, with problems, the specification's schema and the token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.problems import MEDIA_TYPE
from service.api.schemas import Problem
from service.settings import BODY_TIMEOUT_S, MAX_BODY_BYTES
from service.specification import Specification

_DESCRIPTION = """\
Searches the merge coefficients of language models for the Pareto front of alignment against expertise.

A search is launched by its specification, goes on by itself, and is looked at while it does. Errors are
problem+json (RFC 9457): what must hold, what was given, what to do.
"""
_PROBLEM_REF = "#/components/schemas/Problem"
_OPEN = frozenset({("get", "/healthz"), ("get", "/readyz"), ("post", "/v1/session")})
_METHODS = ("get", "put", "post", "delete", "patch", "head")
_EXAMPLES = {
    401: ("token", "A call must show the service's token, but this shows none that is right."),
    403: ("access", "`models.base` must lie below a root of the service, but '/etc' does not."),
    404: ("missing", "A search must exist, but there is none named 'demo'."),
    405: ("method-not-allowed", "A call must use a method of its address, but '/v1/choices' takes no POST."),
    408: ("too-slow", f"A body must come in whole within {BODY_TIMEOUT_S:g} seconds, but did not. Send it again."),
    409: ("state", "A search must be queued or running to be stopped, but 'demo' is finished."),
    413: ("too-large", f"A body must have at most {MAX_BODY_BYTES:,} bytes, but has more."),
    415: ("media-type", "A body must be of the type application/json or application/yaml, but is 'text/plain'."),
    422: ("specification", '`search.evaluations` must be a whole number, but got "many".'),
    500: ("unforeseen", "This was not foreseen. The service's log says what happened."),
    503: ("database", "The database must answer, but does not. Try again in a moment."),
}
_MEANINGS = {
    401: "No token, or a wrong one.",
    403: "Out of a client's reach, from a page of another site, or for another host.",
    404: "There is nothing of that name or id.",
    408: "The body came too slowly.",
    409: "It does not fit the state that something is in.",
    413: "The body is too large.",
    415: "The body is of another type, or compressed.",
    422: "Something that was given must be changed; `errors` says what.",
    500: "The service failed; its log says how.",
    503: "The database does not answer.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI document; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="paretomerge",
            version=app.version,
            description=_DESCRIPTION,
            routes=app.routes,
            openapi_version="3.1.0",
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _add_schemas(schemas)
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, method, operation in _operations(document):
            _complete(path, method, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _add_schemas(schemas: dict[str, Any]) -> None:
    for model in (Specification, Problem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which are never sent
        schemas.pop(name, None)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in _METHODS if method in item)


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    if (method, path) not in _OPEN:
        operation["security"] = [{"token": []}]
    responses = operation["responses"]
    given = {int(status): response for status, response in responses.items() if status.isdigit()}
    for status in {*_statuses(path, method, operation), *(each for each in given if each >= 400)}:
        description = given.get(status, {}).get("description") or _MEANINGS[status]
        if status == 422 and "HTTPValidationError" in str(given.get(status)):
            description = _MEANINGS[status]
        if "content" in given.get(status, {}) and not _is_ours(given[status]):
            continue  # a route's own, such as that of health
        responses[str(status)] = _problem(status, description)
    operation["responses"] = dict(sorted(responses.items()))


def _is_ours(response: dict[str, Any]) -> bool:
    return "HTTPValidationError" in str(response) or _PROBLEM_REF in str(response)


def _statuses(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    """What the way to an operation can answer in its place."""
    yield from (403, 500)
    if "security" in operation:
        yield 401
    if path.startswith("/v1/"):
        yield 503
    if re.search(r"\{\w+\}", path):
        yield 404
    if operation.get("parameters") or "requestBody" in operation:
        yield 422
    # A body is looked at also where none is read.
    yield from (408, 413, 415)


def _problem(status: int, description: str) -> dict[str, Any]:
    kind, detail = _EXAMPLES[status]
    example = {
        "type": f"urn:paretomerge:problem:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [],
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM_REF}, "example": example}}
    found: dict[str, Any] = {"description": description, "content": content}
    if status == 401:
        found["headers"] = {"WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}
    return found
