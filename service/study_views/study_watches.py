"""Who watches a study: one task looks at it for all of them, and none where nobody watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from search_spaces.errors import MissingError
from service.study_views.study_view import StudyView

# How often a watched study is looked at; twice a second is what an eye follows.
LOOK_EVERY_S = 0.5

_log = logging.getLogger("paretomerge.service")


@dataclass(frozen=True, slots=True)
class Moment:
    """All that watchers may be told of a search.

    Args:
        view: of its study.
        detail: `schemas.SearchDetail` as JSON.
        front: changes with front, hypervolume or held-out scores.
        exports: changes when an export of the search moves.
    """

    view: StudyView
    detail: bytes
    front: bytes
    exports: bytes


@dataclass(eq=False)
class Watch:
    """A study under watch; those who watch it wait for its next moment.

    Args:
        moment: the present one.
        is_over: the search is gone.
    """

    moment: Moment
    is_over: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seen: Moment, timeout_s: float) -> None:
        """Until there is another moment than the one that was seen, it is over, or time has passed."""
        if self.moment is seen and not self.is_over:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()

    def show(self, moment: Moment) -> None:
        """Let all see another moment."""
        if moment != self.moment:
            self.moment = moment
            self._wake()

    def end(self) -> None:
        """Let all go."""
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(slots=True)
class _Watched:
    watch: Watch
    task: asyncio.Task[None]
    n_watchers: int = 0


class StudyWatches:
    """The watches of all studies, in one event loop.

    Args:
        look: at a search; raises `MissingError` where there is none.
        every_s: how often.
    """

    def __init__(self, look: Callable[[str], Awaitable[Moment]], every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._watched: dict[str, _Watched] = {}

    @property
    def names(self) -> list[str]:
        """The studies that somebody watches."""
        return list(self._watched)

    @asynccontextmanager
    async def watch(self, name: str) -> AsyncIterator[Watch]:
        """Watch a search; the last who leaves ends the watch.

        Raises:
            MissingError: there is none of that name.
        """
        moment = await self._look(name)
        watched = self._watched.get(name)
        if watched is None:
            watch = Watch(moment)
            task = asyncio.create_task(self._keep_looking(name, watch), name=f"watch-{name}")
            watched = self._watched[name] = _Watched(watch, task)
        watched.n_watchers += 1
        try:
            yield watched.watch
        finally:
            watched.n_watchers -= 1
            if watched.n_watchers == 0:
                del self._watched[name]
                watched.task.cancel()

    async def _keep_looking(self, name: str, watch: Watch) -> None:
        while not watch.is_over:
            await asyncio.sleep(self._every_s)
            try:
                watch.show(await self._look(name))
            except MissingError:
                watch.end()
            except Exception:  # whatever it is, such as a database that restarts: those who watch wait for its end
                _log.warning("The search '%s' could not be looked at; trying again.", name, exc_info=True)
