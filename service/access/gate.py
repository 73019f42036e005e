"""Who may call: whoever shows the token, from a page of this service or from no page at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.loopback import is_loopback
from service.access.token import COOKIE, TokenKeeper
from service.api.problems import problem_response

_OPEN = frozenset({"/", "/healthz", "/readyz"})
_OPEN_BELOW = "/assets/"
_SESSION = "/v1/session"
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+))(?::\d+)?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets calls through that may be made, and answers the others; a middleware of ASGI.

    Args:
        app: behind it.
        keeper: of the token.
        is_local: it listens on a loopback address. Without a token a call must then name such an address as its
            host: a page elsewhere whose name is made to point here would be let in otherwise.
    """

    app: ASGIApp
    keeper: TokenKeeper
    is_local: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.is_local and not self.keeper.is_asked_for and not is_loopback(_hostname(host)):
            return _refused(
                "host", f"A call must name this machine as its host, such as localhost, but names '{host}'."
            )
        if scope["method"] not in _SAFE_METHODS and not _is_from_here(headers, host):
            return _refused("origin", "A call that changes something must not come from a page of another site.")
        if self.keeper.is_asked_for and not _is_open(scope) and not self._shows_token(headers):
            return wrong_token()
        return None

    def _shows_token(self, headers: Headers) -> bool:
        if "authorization" in headers:
            return self.keeper.accepts_header(headers["authorization"])
        return self.keeper.accepts_cookie(_cookie(headers.get("cookie", "")))


def wrong_token() -> Response:
    """The answer to a call that shows no token, or another one."""
    return problem_response(
        401,
        "token",
        "A call must show the service's token, as `Authorization: Bearer TOKEN` or by a cookie of `POST /v1/session`, "
        "but this shows none that is right.",
        headers={"WWW-Authenticate": 'Bearer realm="paretomerge"'},
    )


def _is_open(scope: Scope) -> bool:
    path, method = scope["path"], scope["method"]
    return path in _OPEN or path.startswith(_OPEN_BELOW) or (path == _SESSION and method == "POST")


def _is_from_here(headers: Headers, host: str) -> bool:
    """Programs send no origin; browsers send one with every call that changes something.

    Newer ones also say themselves whether it is that of the page; behind a proxy, which may name another host, they
    alone know.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("none", "same-origin")
    return origin is None or _authority(origin) == host.lower()


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    """Of a `Host` header, without its port."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _refused(kind: str, detail: str) -> Response:
    return problem_response(403, kind, detail)
