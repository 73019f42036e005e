"""How much a call may send, of what kind, and how slowly."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_response
from service.api.specification_body import JSON_TYPE, YAML_TYPES
from service.settings import BODY_TIMEOUT_S, MAX_BODY_BYTES

# Where a specification may be sent, as YAML too.
_SPECIFICATION = re.compile(r"/v1/searches(/[^/]+/resume)?")
# Of a body that is too large: what is read of it, so that its sender comes to read the answer.
_MAX_DRAIN_BYTES, _MAX_DRAIN_S = 4 * 1024 * 1024, 2.0
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
        try:
            answer = await self._answer(scope, receive)
        except _ClientGoneError:
            return
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        """The application with the body, or a refusal; what comes of a body is read in either case.

        A connection that is closed over unread bytes is reset, and the client may never see why.
        """
        headers = Headers(scope=scope)
        chunks = _chunks(receive)
        try:
            body = await asyncio.wait_for(self._read(chunks, _announced(headers)), self.timeout_s)
        except TimeoutError:
            return self._too_slow()
        except _TooLargeError:
            await _drain(chunks)
            return self._too_large()
        return _wrong_kind(scope["path"], headers, body) or _with_body(self.app, body)

    async def _read(self, chunks: AsyncIterator[bytes], announced: float) -> bytes:
        if announced > self.max_bytes:
            raise _TooLargeError
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > self.max_bytes:
                raise _TooLargeError
        return bytes(body)

    def _too_large(self) -> Response:
        detail = f"A body must have at most {self.max_bytes:,} bytes, but has more."
        return problem_response(413, "too-large", detail, headers=_CLOSE)

    def _too_slow(self) -> Response:
        detail = f"A body must come in whole within {self.timeout_s:g} seconds, but did not. Send it again."
        return problem_response(408, "too-slow", detail, headers=_CLOSE)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _announced(headers: Headers) -> float:
    """The length that is announced; infinite where it is no number."""
    given = headers.get("content-length", "0")
    return int(given[:20]) if given.isascii() and given.isdigit() else math.inf


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read and forget what still comes, as far as that is worth an answer that arrives."""
    n_bytes = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_DRAIN_S):
            async for chunk in chunks:
                n_bytes += len(chunk)
                if n_bytes > _MAX_DRAIN_BYTES:
                    return


def _wrong_kind(path: str, headers: Headers, body: bytes) -> Response | None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        return _unsupported("sent as it is, without `Content-Encoding`")
    taken = (JSON_TYPE, *YAML_TYPES) if _SPECIFICATION.fullmatch(path) else (JSON_TYPE,)
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and given not in taken:
        return _unsupported(f"of the type {' or '.join(taken[:2])}, but is '{given}'")
    return None


def _unsupported(must: str) -> Response:
    return problem_response(415, "media-type", f"A body must be {must}.")


def _with_body(app: ASGIApp, body: bytes) -> ASGIApp:
    """The application, to which the body comes once, and then whatever comes: that the client has gone."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        await app(scope, replayed, send)

    return answer
