"""The views of all studies: each is read by one reader at a time, for all who ask meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine

from search_spaces.errors import MissingError
from service.registry import SearchRegistry
from service.study_views.study_reader import StudyReader
from service.study_views.study_view import Body, StudyView

# Nobody sees a study as it was longer ago.
MAX_AGE_S = 0.3
# Views that nobody has asked for meanwhile are dropped: one of 5,000 trials is some megabytes.
_KEEP_S = 300.0
# Reading is the database's work and rendering is Python's, which takes turns anyway.
_N_THREADS = 2

_T = TypeVar("_T")


@dataclass(slots=True)
class _Entry:
    """A study that somebody has asked for; times are those of a monotonic clock."""

    reader: StudyReader
    used_at: float
    view: StudyView | None = None
    read_at: float = float("-inf")


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
        view = self._fresh(name)
        return self._flight(name, partial(self._read, name)).result() if view is None else view

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
        view = self._fresh(name)
        return await self._awaited(name, partial(self._read, name)) if view is None else view

    async def body(self, name: str, key: Hashable, make: Callable[[StudyView], bytes]) -> Body:
        """What `make` makes of the present view; made once for all who ask for the same.

        Args:
            name: of the study.
            key: tells bodies of a view apart.
            make: runs in a thread; what it raises is raised here.

        Raises:
            MissingError: there is no such search.
        """
        view = await self.view(name)
        built = view.built(key)
        if built is not None:
            return built
        return await self._awaited((view.line, view.version, key), partial(view.build, key, make))

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

    def _fresh(self, name: str) -> StudyView | None:
        """The view, if it is young enough."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        entry.used_at = time.monotonic()
        return entry.view if entry.used_at - entry.read_at <= self._max_age_s else None

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

    def _read(self, name: str) -> StudyView:
        now = time.monotonic()
        with self._lock:
            self._drop_unused(now)
            entry = self._entries.get(name) or _Entry(StudyReader(self._engine, self._searches, name), now)
        try:
            view = entry.reader.read()
        except MissingError:
            with self._lock:
                self._entries.pop(name, None)
            raise
        with self._lock:
            entry.view, entry.read_at = view, now
            self._entries[name] = entry
        return view

    def _drop_unused(self, now: float) -> None:
        for name in [name for name, entry in self._entries.items() if now - entry.used_at > self._keep_s]:
            del self._entries[name]
