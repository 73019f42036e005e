"""A search's events as a stream: what a client does not know yet, whenever there is something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse
from starlette.types import Message, Receive, Scope, Send

from service.study_views import Moment, StudyView, StudyWatches, Watch
from service.study_views.rendering import points_body

# How often a silent stream gives a sign of life.
HEARTBEAT_S = 15.0
# A client that takes nothing for so long is gone, or as good as.
_PATIENCE_S = 60.0
# A connection's buffer takes no more before a slow client has taken what is in it.
_PIECE_BYTES = 32 * 1024
_MANY = 100
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def all_points(view: StudyView) -> bytes:
    """All finished trials, by number; in place of whatever was known before."""
    return points_body(view.objectives, view.trials, reset=True)


def points_after(view: StudyView, n_known: int) -> bytes:
    """The finished trials that came after the first so many, in the order in which they came."""
    return points_body(view.objectives, view.arrived_after(n_known), reset=False)


@dataclass(frozen=True, slots=True)
class Known:
    """What a client knows already.

    An event's id says which trials it knows: the first so many that this process learned of. What comes after is
    found in the view, so that nothing is kept for any client, however slow or long away.

    Args:
        line: of views; see `StudyView`.
        n_trials: how many of its arrivals.
        detail, front, exports: as in `Moment`, when it was last told.
    """

    line: str = ""
    n_trials: int = 0
    detail: bytes = b""
    front: bytes = b""
    exports: bytes = b""

    def can_go_on(self, view: StudyView) -> bool:
        """Whether a client need not begin anew."""
        return self.line == view.line and self.n_trials <= len(view.arrivals)

    @classmethod
    def by(cls, event_id: str) -> Known:
        """What the id tells that a client saw last; nothing if it is not one of ours."""
        line, _, number = event_id.rpartition("-")
        is_number = number.isascii() and number.isdecimal() and len(number) < 10
        return cls(line, int(number)) if is_number else cls()

    @classmethod
    def after(cls, moment: Moment) -> Known:
        """What a client knows that was told all."""
        return cls(moment.view.line, len(moment.view.arrivals), moment.detail, moment.front, moment.exports)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event.

    Args:
        kind: `search`, `points`, `front` or `exports`.
        id: see `Known`.
        data: JSON, on one line; shared by all to whom it is sent.
    """

    kind: str
    id: str
    data: bytes

    def pieces(self) -> Iterator[bytes]:
        """As it is sent."""
        yield f"event: {self.kind}\nid: {self.id}\ndata: ".encode()
        for start in range(0, len(self.data), _PIECE_BYTES):
            yield self.data[start : start + _PIECE_BYTES]
        yield b"\n\n"


def events_between(known: Known, moment: Moment) -> Iterator[Event]:
    """The events that lead from what a client knows to the present moment."""
    view = moment.view
    event_id = f"{view.line}-{len(view.arrivals)}"
    if moment.detail != known.detail:
        # It comes before the points, and must not say that they are known: the stream may break between the two.
        yield Event("search", f"{known.line}-{known.n_trials}", moment.detail)
    if not known.can_go_on(view):
        yield Event("points", event_id, view.build("points", all_points).content)
    elif known.n_trials < len(view.arrivals):
        yield Event("points", event_id, _points_after(view, known.n_trials))
    if moment.front != known.front:
        yield Event("front", event_id, b"{}")
    if moment.exports != known.exports:
        yield Event("exports", event_id, b"{}")


def _points_after(view: StudyView, n_known: int) -> bytes:
    """A few are made for each client: a body is waited for while another one is built, and the event loop must not."""
    if _are_few(view, n_known):
        return points_after(view, n_known)
    return view.build(("points", n_known), partial(points_after, n_known=n_known)).content


def _are_few(view: StudyView, n_known: int) -> bool:
    return len(view.arrivals) - n_known < _MANY


class SearchEvents(EventSourceResponse):
    """The answer that does not end until its client goes, or the service.

    Args:
        watches: of the service.
        name: of the search.
        last_event_id: what the client saw last, or "".
    """

    def __init__(self, watches: StudyWatches, name: str, last_event_id: str) -> None:
        super().__init__((), headers=_HEADERS)
        self._watches = watches
        self._name = name
        self._known = Known.by(last_event_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as Starlette asks it to."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_PATIENCE_S):
                await send(message)

        # Around the whole answer: however it ends, the watch is left.
        async with self._watches.watch(self._name) as watch:
            self.body_iterator = self._pieces(watch)
            await super().__call__(scope, receive, send_in_time)

    async def _pieces(self, watch: Watch) -> AsyncIterator[bytes]:
        known = self._known
        while not watch.is_over:
            moment = watch.moment
            events = await self._events(known, moment)
            for event in events:
                for piece in event.pieces():
                    yield piece
            if not events:
                yield KEEPALIVE_COMMENT
            known = Known.after(moment)
            await watch.wait(moment, HEARTBEAT_S)

    async def _events(self, known: Known, moment: Moment) -> list[Event]:
        def found() -> list[Event]:
            return list(events_between(known, moment))

        is_small = known.can_go_on(moment.view) and _are_few(moment.view, known.n_trials)
        # Thousands of points would hold up all other clients.
        return found() if is_small else await asyncio.to_thread(found)
