"""What becomes of answers that are no success: whose mistake it is, and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search_spaces import errors
from service.api.problems import problem_of
from service.client.problem_errors import UnreachableError
from service.client.remote_service import RemoteService
from tests.scripted_server import Reply, ScriptedServer, problem, says

Scripted = Callable[..., ScriptedServer]
Connect = Callable[..., RemoteService]

TOKEN = "a-token-that-nobody-may-read"

MESSAGE = "`weight` must be low <= high, but got [2, 1]."
# Those that come back as the one above them: what differs is in their words.
_AS_CHECKPOINT_ERRORS = (errors.IncompatibleModelsError, errors.MisplacedModelError)
USER_ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.UserError) and kind not in _AS_CHECKPOINT_ERRORS
]


@pytest.mark.parametrize("kind", USER_ERRORS, ids=lambda kind: kind.__name__)
def test_each_error_of_the_user_comes_back_as_itself(
    scripted: Scripted, connect: Connect, kind: type[errors.UserError]
) -> None:
    answer = problem_of(kind(MESSAGE))
    body = bytes(answer.body).decode()
    server = scripted(says(answer.status_code, str(answer.media_type), body))
    with pytest.raises(errors.UserError, match=r"^`weight` must be low <= high, but got \[2, 1\]\.$") as raised:
        connect(server.url).search("any")
    assert type(raised.value) is kind
    assert raised.value.exit_code == 2


def test_mistakes_that_the_detail_does_not_tell_are_told(scripted: Scripted, connect: Connect) -> None:
    told, untold = ("space.weight", MESSAGE), ("search.sampler", "must be one of tpe, nsga2.")
    server = scripted(problem(422, "specification", MESSAGE, told, untold))
    with pytest.raises(errors.SpecificationError, match="must be one of tpe") as raised:
        connect(server.url).launch("name: x")
    assert str(raised.value).splitlines() == [MESSAGE, "`search.sampler`: must be one of tpe, nsga2."]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(413, "content-too-large", "A body must be smaller."), errors.UserError),
        (problem(404, "not-found", "There is nothing."), errors.MissingError),
        (problem(500, "unforeseen", "This was not foreseen."), errors.ServiceError),
        (problem(503, "database", "The database must answer."), UnreachableError),
        (says(502, "text/html", "<h1>Bad Gateway</h1>"), UnreachableError),
    ],
    ids=["too large", "no such address", "unforeseen", "database", "proxy"],
)
def test_other_problems_go_by_their_status(
    scripted: Scripted, connect: Connect, reply: Reply, kind: type[errors.ParetomergeError]
) -> None:
    with pytest.raises(errors.ParetomergeError, match=r"\.") as raised:
        connect(scripted(reply).url).search("any")
    assert type(raised.value) is kind


@pytest.mark.parametrize(("token", "hint"), [("", "but was shown none"), (TOKEN, "but refuses the one")])
def test_the_token_is_asked_for_and_not_told(scripted: Scripted, connect: Connect, token: str, hint: str) -> None:
    server = scripted(problem(401, "unauthorized", "A call must show the service's token."))
    with pytest.raises(errors.ServiceError, match=f"must be shown its token, {hint}.*PARETOMERGE_TOKEN") as raised:
        connect(server.url, token).search("any")
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    "reply",
    [
        says(200, "text/html", "<h1>It works!</h1>"),
        says(200, "application/json", '{"name": 3}'),
        says(200, "application/json", "[]"),
        says(404, "text/html", "<h1>Not Found</h1>"),
        says(404, "application/problem+json", "{"),
        says(405, "application/json", '{"detail": "Method Not Allowed"}'),
    ],
    ids=["page", "other JSON", "list", "404", "broken problem", "other API"],
)
def test_what_is_no_such_service_is_said_to_be_none(scripted: Scripted, connect: Connect, reply: Reply) -> None:
    with pytest.raises(errors.ServiceError, match=r"A paretomerge service of this version must answer .*--server"):
        connect(scripted(reply).url).search("any")
