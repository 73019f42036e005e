"""How much a call may send, of what kind, and how slowly."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_response
from service.api.specification_body import JSON_TYPE, YAML_TYPES
from service.settings import BODY_TIMEOUT_S, MAX_BODY_BYTES

# Where a specification may be sent, as YAML too.
_SPECIFICATION = re.compile(r"/v1/searches(/[^/]+/resume)?")
# The rest of the body may still be under way: nothing behind it can be read as a call.
_CLOSE = {"Connection": "close"}


class _ClientGoneError(Exception):
    """Nobody waits for an answer any more."""


class _TooLargeError(Exception):
    """More has come than is taken."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Reads a body whole before anything is done with it, or answers that it will not; a middleware of ASGI.

    Args:
        app: behind it.
        max_bytes: of a body.
        timeout_s: in which it must have come in.
    """

    app: ASGIApp
    max_bytes: int = MAX_BODY_BYTES
    timeout_s: float = BODY_TIMEOUT_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is None:
            try:
                body = await asyncio.wait_for(self._read(receive), self.timeout_s)
            except TimeoutError:
                refusal = self._too_slow()
            except _TooLargeError:
                refusal = self._too_large()
            except _ClientGoneError:
                return
        await (refusal(scope, receive, send) if refusal else self.app(scope, _replay(body, receive), send))

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        announced = headers.get("content-length", "0")
        if not (announced.isascii() and announced.isdigit()) or int(announced[:20]) > self.max_bytes:
            return self._too_large()
        if headers.get("content-encoding", "identity").lower() != "identity":
            return _unsupported("sent as it is, without `Content-Encoding`")
        taken = (JSON_TYPE, *YAML_TYPES) if _SPECIFICATION.fullmatch(path) else (JSON_TYPE,)
        given = headers.get("content-type", "").partition(";")[0].strip().lower()
        if given not in taken and announced != "0":
            return _unsupported(f"of the type {' or '.join(taken[:2])}, but is '{given}'")
        return None

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        n_bytes = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            chunks.append(message.get("body", b""))
            n_bytes += len(chunks[-1])
            if n_bytes > self.max_bytes:
                raise _TooLargeError
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> Response:
        detail = f"A body must have at most {self.max_bytes:,} bytes, but has more."
        return problem_response(413, "too-large", detail, headers=_CLOSE)

    def _too_slow(self) -> Response:
        detail = f"A body must come in whole within {self.timeout_s:g} seconds, but did not. Send it again."
        return problem_response(408, "too-slow", detail, headers=_CLOSE)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _unsupported(must: str) -> Response:
    return problem_response(415, "media-type", f"A body must be {must}.", headers=_CLOSE)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, and then whatever comes: that the client has gone."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
