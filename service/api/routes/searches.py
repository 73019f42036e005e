"""Searches: launched, listed, stopped and resumed."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response

from search_spaces.errors import SpecificationError
from service.access.confined_specification import confine
from service.api.context import Context, ServiceContext
from service.api.parameters import SearchName
from service.api.queue_limits import check_search_queue
from service.api.schemas import SearchDetail, SearchList
from service.api.search_answers import detail, summaries
from service.api.specification_body import SpecificationBody, SpecificationSent, described
from service.specification import Specification

router = APIRouter(tags=["searches"])


@router.post(
    "/v1/searches",
    status_code=201,
    operation_id="launchSearch",
    summary="Launch a search",
    openapi_extra=described(required=True),
    responses={
        201: {
            "description": "It is queued.",
            "headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}},
        },
        409: {"description": "There is a search of that name."},
    },
)
def launch(body: SpecificationSent, context: Context, response: Response) -> SearchDetail:
    """Check a specification whole, headers of models and sets included, and queue its search."""
    check_search_queue(context)
    row = context.searches.create(_checked(body, context))
    response.headers["Location"] = f"/v1/searches/{row.name}"
    return detail(context.engine, row)


@router.get("/v1/searches", operation_id="listSearches", summary="All searches")
def list_searches(context: Context) -> SearchList:
    """The service's, the newest first; then those that commands drive on the same database."""
    return SearchList(searches=summaries(context.engine, context.searches.all()))


@router.get("/v1/searches/{name}", operation_id="getSearch", summary="One search")
def get_search(name: SearchName, context: Context) -> SearchDetail:
    """How far it is, and what it was asked to do."""
    return detail(context.engine, context.searches.get(name))


@router.post(
    "/v1/searches/{name}/stop",
    status_code=202,
    operation_id="stopSearch",
    summary="Stop a search",
    responses={409: {"description": "It is neither queued nor running."}},
)
def stop(name: SearchName, context: Context) -> SearchDetail:
    """Ask for no further candidate; those under way are finished and stored."""
    return detail(context.engine, context.searches.stop(name))


@router.post(
    "/v1/searches/{name}/resume",
    status_code=202,
    operation_id="resumeSearch",
    summary="Resume a search",
    openapi_extra=described(required=False),
    responses={409: {"description": "It has not ended."}},
)
def resume(name: SearchName, body: SpecificationSent, context: Context) -> SearchDetail:
    """Queue a search again that has ended; a specification as the body may raise its budget."""
    context.searches.get(name)
    specification = _checked(body, context, name) if body else None
    return detail(context.engine, context.searches.resume(name, specification))


def _checked(body: SpecificationBody, context: ServiceContext, name: str | None = None) -> Specification:
    """What a client sent, confined; everything that it names has been read and fits together."""
    from service.search.preparation import prepare_search
    from service.studies import check_continues, load_study

    specification = confine(body.read(), context.reach)
    if name is not None and specification.name != name:
        raise SpecificationError(
            f"`name` must be that of the search which is resumed, '{name}', but got '{specification.name}'."
        )
    address = {"address": context.settings.ray_address}
    workers = specification.workers.model_copy(update=address)
    # Where workers run decides what must be installed here.
    specified = specification.model_copy(update={"workers": workers})
    prepared = prepare_search(specified, read_study=partial(load_study, context.engine))
    _ = prepared.encoded_landmarks  # bounds and method are decided by it
    if name is not None:
        check_continues(context.engine, prepared.identity)
    return specification
