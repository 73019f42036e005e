"""The events of a search, as they happen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from service.api.context import Context
from service.api.event_stream import SearchEvents
from service.api.parameters import SearchName

router = APIRouter(tags=["results"])

_STREAM = {
    "description": (
        "`search` carries a SearchDetail, `points` carries Points; `front` and `exports` say that these are worth "
        "fetching. Lines that begin with a colon are signs of life."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get(
    "/v1/searches/{name}/events",
    response_class=Response,
    operation_id="watchSearch",
    summary="Events of a search",
    responses={200: _STREAM},
)
async def watch_search(
    name: SearchName,
    context: Context,
    last_event_id: Annotated[str, Header(max_length=200, description="Resumes behind the event of this id.")] = "",
) -> SearchEvents:
    """Server-sent events: at first all that there is, or all after the event that was seen last; then what is new."""
    await context.views.view(name)  # an unknown search is an error, and no stream
    return SearchEvents(context.watches, name, last_event_id)
