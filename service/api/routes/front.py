"""The front, its hypervolume, and all finished trials as a picture shows them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints

from service.api.cached_answers import NOT_MODIFIED, answer
from service.api.context import Context
from service.api.event_stream import all_points
from service.api.parameters import SearchName
from service.api.schemas import Front, HypervolumeHistory, Points, Split
from service.study_views.rendering import front_body, hypervolume_body

router = APIRouter(tags=["results"])

Where = Annotated[
    list[Annotated[str, StringConstraints(max_length=200)]] | None,
    Query(max_length=16, description="Constraints on what is selected.", examples=[["alignment>=0.9"]]),
]


@router.get(
    "/v1/searches/{name}/front",
    response_model=Front,
    operation_id="getFront",
    summary="The front",
    responses=NOT_MODIFIED,
)
async def get_front(
    name: SearchName, request: Request, context: Context, split: Split = "search", where: Where = None
) -> Response:
    """The non-dominated trials, and one of them selected: by `where`, else the knee.

    With `split=holdout`, values are those on held-out examples, of the trials that were scored there in every
    objective (the front of the search, and the landmarks); which of them are not dominated is computed anew, and so
    are reference point and hypervolume. The trials are counted over the whole search either way.
    """
    constraints = tuple(where or ())
    make = partial(front_body, split=split, constraints=constraints)
    return answer(request, await context.views.body(name, ("front", split, constraints), make))


@router.get(
    "/v1/searches/{name}/hypervolume",
    response_model=HypervolumeHistory,
    operation_id="getHypervolume",
    summary="Hypervolume over evaluations",
    responses=NOT_MODIFIED,
)
async def get_hypervolume(name: SearchName, request: Request, context: Context) -> Response:
    """Where it has grown, in the order of the trials' numbers; above one reference point throughout."""
    return answer(request, await context.views.body(name, "hypervolume", hypervolume_body))


@router.get(
    "/v1/searches/{name}/points",
    response_model=Points,
    operation_id="getPoints",
    summary="All finished trials in columns",
    responses=NOT_MODIFIED,
)
async def get_points(name: SearchName, request: Request, context: Context) -> Response:
    """What a picture needs, by number: values to seven digits, standard errors to three."""
    return answer(request, await context.views.body(name, "points", all_points))
