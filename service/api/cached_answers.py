"""Answers whose body is built once for many clients; who has it already is told so and gets nothing."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from service.study_views import Body

# Whoever keeps an answer must ask whether it still holds.
_CACHING = "private, no-cache"
# For `responses=` of a route.
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is as `If-None-Match` says."}}


def answer(request: Request, body: Body) -> Response:
    """The body, or 304 if the client has it."""
    # Weak: it names the content, whether compressed or not.
    headers = {"ETag": f"W/{body.etag}", "Cache-Control": _CACHING, "Vary": "Accept-Encoding"}
    if _is_known(request.headers.get("if-none-match", ""), body.etag):
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(body.content, headers=headers, media_type="application/json")
    return Response(body.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/json")


def _is_known(given: str, etag: str) -> bool:
    known = {each.strip().removeprefix("W/") for each in given.split(",")}
    return etag in known or "*" in known
