"""The token, shown once for a cookie."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.access.gate import wrong_token
from service.access.token import COOKIE, COOKIE_LIFETIME_S, TokenKeeper
from service.api.context import Context
from service.api.schemas import TokenShown

router = APIRouter(tags=["session"])


@router.post(
    "/v1/session",
    status_code=204,
    response_class=Response,
    operation_id="openSession",
    summary="Show the token once",
    responses={401: {"description": "It is another one."}},
)
def open_session(shown: TokenShown, request: Request, context: Context) -> Response:
    """Get a cookie that stands for the token: for pages, whose event streams can send no header of their own."""
    keeper = TokenKeeper(context.settings.token)
    if not keeper.is_asked_for:
        return Response(status_code=204)
    if not keeper.accepts_token(shown.token):
        return wrong_token()
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE,
        keeper.make_cookie(),
        max_age=COOKIE_LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.delete("/v1/session", status_code=204, operation_id="closeSession", summary="Forget the cookie")
def close_session() -> Response:
    """Take the cookie back."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
