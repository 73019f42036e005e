"""From what a service answers to the errors of this side: the user's mistakes, and everything else."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2
from pydantic import ValidationError

from search_spaces.errors import (
    AccessError,
    CheckpointError,
    ExampleSetError,
    IncompatibleModelsError,
    MissingError,
    ParetomergeError,
    RecipeError,
    SelectionError,
    ServiceError,
    SpecificationError,
    StateError,
    UserError,
)
from service.api.schemas import Problem
from service.client.environment import TOKEN_VARIABLE
from service.client.server_address import ServerAddress

# The last word of a problem's type → our error; one that is not named here goes by its status.
_BY_TYPE: Mapping[str, type[UserError]] = {
    "specification": SpecificationError,
    "checkpoint": CheckpointError,
    "incompatible-models": IncompatibleModelsError,
    "example-set": ExampleSetError,
    "recipe": RecipeError,
    "selection": SelectionError,
    "missing": MissingError,
    "access": AccessError,
    "state": StateError,
}
_BY_STATUS: Mapping[int, type[UserError]] = {403: AccessError, 404: MissingError, 409: StateError}
# What a proxy says while the service behind it starts again.
_AWAY = (502, 503, 504)


class UnreachableError(ServiceError):
    """The service does not answer now; it may in a moment."""


def error_of(response: httpx2.Response, address: ServerAddress) -> ParetomergeError:
    """The error that an answer stands for; its body has been read.

    Args:
        response: with a status that is no success.
        address: that was asked.
    """
    if response.is_redirect:
        # Not followed: the token is for one server.
        return ServiceError(
            f"The service must answer at {address.url} itself, but that leads to "
            f"{response.headers['location']}. Name the right address with `--server`."
        )
    problem = _problem(response)
    if response.status_code == 401:
        return _unauthorized(address)
    if problem is None:
        is_away = response.status_code in _AWAY
        return (UnreachableError if is_away else ServiceError)(strange_answer(response, address))
    if response.status_code >= 500:
        kind = UnreachableError if response.status_code in _AWAY else ServiceError
        return kind(f"The service at {address.url} failed: {_told(problem)}")
    by_status = _BY_STATUS.get(problem.status, UserError)
    return _BY_TYPE.get(problem.type.rpartition(":")[2], by_status)(_told(problem))


def strange_answer(response: httpx2.Response, address: ServerAddress) -> str:
    """What is wrong with an answer that no service of this version gives."""
    kind = response.headers.get("content-type", "").partition(";")[0] or "nothing"
    return (
        f"A paretomerge service of this version must answer at {address.url}, but what answers there is another: "
        f"status {response.status_code} and {kind} for {response.request.url.path}. Correct `--server`."
    )


def _unauthorized(address: ServerAddress) -> ServiceError:
    refused = "refuses the one that was shown" if address.token else "was shown none"
    return ServiceError(
        f"The service at {address.url} must be shown its token, but {refused}. "
        f"Put the token that it was started with into {TOKEN_VARIABLE}."
    )


def _problem(response: httpx2.Response) -> Problem | None:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        return Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        return None


def _told(problem: Problem) -> str:
    """The detail, and of the mistakes those that it does not tell itself."""
    untold = [error for error in problem.errors if error.detail not in problem.detail]
    lines = (f"`{error.key}`: {error.detail}" if error.key else error.detail for error in untold)
    return "\n".join([problem.detail, *lines])
