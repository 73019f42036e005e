"""The views of all studies: each is read by one reader at a time, for all who ask meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine

from search_spaces.errors import MissingError
from service.registry import SearchRegistry
from service.study_views.study_reader import StudyReader
from service.study_views.study_view import MAX_BODY_BYTES, Body, StudyView

# Nobody sees a study as it was longer ago.
MAX_AGE_S = 0.3
# From this share of that age on, who asks is answered at once, and what the next ones get is made meanwhile.
_AHEAD = 2 / 3
# Views that nobody has asked for meanwhile are dropped: one of 5,000 trials is some megabytes.
_KEEP_S = 300.0
# Reading is the database's work and rendering is Python's, which takes turns anyway.
_N_THREADS = 2
# Clients choose their pages and constraints freely.
_MAX_SERVED = 32

_T = TypeVar("_T")


@dataclass(slots=True)
class _Entry:
    """A study that somebody has asked for; times are those of a monotonic clock.

    `reading` is held by who reads. `served` holds the last body of each key, and when its view was read.
    """

    reader: StudyReader
    used_at: float
    view: StudyView | None = None
    read_at: float = float("-inf")
    reading: threading.Lock = field(default_factory=threading.Lock)
    served: dict[Hashable, tuple[Body, float]] = field(default_factory=dict)


class StudyViews:
    """Studies as readers see them, shared by threads and event loops.

    Args:
        engine: over the service's database.
        searches: of the same.
        max_age_s: how old a view may be that is handed out.
        keep_s: how long a view is kept that nobody asks for.
    """

    def __init__(
        self, engine: Engine, searches: SearchRegistry, *, max_age_s: float = MAX_AGE_S, keep_s: float = _KEEP_S
    ) -> None:
        self._engine = engine
        self._searches = searches
        self._max_age_s = max_age_s
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._flights: dict[Hashable, Future[Any]] = {}
        self._threads = ThreadPoolExecutor(_N_THREADS, "study-views")

    def get(self, name: str) -> StudyView:
        """The view of a study; for threads, not for an event loop.

        Raises:
            MissingError: there is no such search.
        """
        return self._look(name, self._max_age_s)[0]

    def glance(self, name: str) -> StudyView:
        """The same for one look at many studies: a view that nobody else has asked for is not kept.

        Raises:
            MissingError: there is no such search.
        """
        is_kept = name in self._entries
        return self.get(name) if is_kept else StudyReader(self._engine, self._searches, name).read()

    async def view(self, name: str) -> StudyView:
        """The same for an event loop, which is not blocked.

        Raises:
            MissingError: there is no such search.
        """
        entry = self._entries.get(name)
        if entry is not None and entry.view is not None and time.monotonic() - entry.read_at <= self._max_age_s:
            entry.used_at = time.monotonic()
            return entry.view
        return await self._awaited(name, partial(self.get, name))

    async def body(self, name: str, key: Hashable, make: Callable[[StudyView], bytes]) -> Body:
        """What `make` makes of the study as it is; made once for all who ask for the same.

        Args:
            name: of the study.
            key: tells the bodies of a study apart.
            make: runs in a thread; what it raises is raised here.

        Raises:
            MissingError: there is no such search.
        """
        body, age_s = self._served(name, key)
        serve = partial(self._serve, name, key, make)
        if body is None or age_s > self._max_age_s:
            return await self._awaited((name, key), serve)
        if age_s > _AHEAD * self._max_age_s:
            self._flight((name, key), serve)
        return body

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do something in one of the readers' threads."""
        return await self._awaited(object(), work)

    def close(self) -> None:
        """End the threads; what is under way is finished."""
        self._threads.shutdown()

    @property
    def names(self) -> list[str]:
        """The studies whose views are kept."""
        with self._lock:
            return list(self._entries)

    def _served(self, name: str, key: Hashable) -> tuple[Body | None, float]:
        """The last body of that key, and how old its view is."""
        entry = self._entries.get(name)
        if entry is None:
            return None, 0.0
        entry.used_at = time.monotonic()
        body, read_at = entry.served.get(key, (None, 0.0))
        return body, entry.used_at - read_at

    def _serve(self, name: str, key: Hashable, make: Callable[[StudyView], bytes]) -> Body:
        """Make a body of a view that is young enough to serve for a while."""
        view, read_at = self._look(name, _AHEAD * self._max_age_s)
        body = view.build(key, make)
        if len(body.content) <= MAX_BODY_BYTES:
            self._keep(name, key, body, read_at)
        return body

    def _keep(self, name: str, key: Hashable, body: Body, read_at: float) -> None:
        with self._lock:
            if (entry := self._entries.get(name)) is None:
                return
            entry.served.pop(key, None)  # the last that was made is the last to be dropped
            entry.served[key] = (body, read_at)
            if len(entry.served) > _MAX_SERVED:
                del entry.served[next(iter(entry.served))]

    async def _awaited(self, key: Hashable, work: Callable[[], _T]) -> _T:
        # Shielded: who goes away must not end what others wait for.
        return await asyncio.shield(asyncio.wrap_future(self._flight(key, work)))

    def _flight(self, key: Hashable, work: Callable[[], _T]) -> Future[_T]:
        """The one run of this work that is under way, or a new one."""
        with self._lock:
            found = self._flights.get(key)
            if found is None:
                found = self._flights[key] = self._threads.submit(self._land, key, work)
            return found

    def _land(self, key: Hashable, work: Callable[[], _T]) -> _T:
        try:
            return work()
        finally:
            with self._lock:
                del self._flights[key]

    def _look(self, name: str, max_age_s: float) -> tuple[StudyView, float]:
        """A view of at most that age, and when it was read."""
        entry = self._entry(name)
        with entry.reading:
            now = time.monotonic()
            if entry.view is None or now - entry.read_at > max_age_s:
                try:
                    entry.view, entry.read_at = entry.reader.read(), now
                except MissingError:
                    with self._lock:
                        self._entries.pop(name, None)
                    raise
            return entry.view, entry.read_at

    def _entry(self, name: str) -> _Entry:
        now = time.monotonic()
        with self._lock:
            for old in [old for old, entry in self._entries.items() if now - entry.used_at > self._keep_s]:
                del self._entries[old]
            entry = self._entries.get(name)
            if entry is None:
                entry = self._entries[name] = _Entry(StudyReader(self._engine, self._searches, name), now)
            entry.used_at = now
            return entry
