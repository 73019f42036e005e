"""Streams that would go on for ever, ended when the server ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class StreamsEnd:
    """Tells every call that its client has gone once the server stops, and ends its answer; a middleware of ASGI.

    The server sets `app.state.stopping`, an event of its loop; where there is none, calls pass unchanged.

    Args:
        app: behind it.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        stopping: asyncio.Event | None = getattr(scope["app"].state, "stopping", None)
        if scope["type"] != "http" or stopping is None:
            await self.app(scope, receive, send)
            return
        is_open = False

        async def sending(message: Message) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or message.get("more_body", False)
            await send(message)

        await self.app(scope, lambda: _received(receive, stopping), sending)
        if is_open and stopping.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _received(receive: Receive, stopping: asyncio.Event) -> Message:
    """What comes next, or that nobody listens any more."""
    message = asyncio.ensure_future(receive())
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({message, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return message.result() if message.done() else {"type": "http.disconnect"}
    finally:
        message.cancel()
        stopped.cancel()
