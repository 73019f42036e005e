"""A search that outlives outages of its database: its sessions end; its workers, and what they found, stay."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from search_spaces.errors import DatabaseError, DatabaseLostError
from service.search.helm import Course
from service.search.patience import Patience, patience_s
from service.search.preparation import PreparedSearch
from service.search.progress import SearchProgress
from service.search.session import SearchSession, database_errors, open_session
from service.search.unstored import Unstored
from service.studies import FinishedTrial
from workers.worker_pools import WorkerPool


class DurableSession:
    """One session after the other over a study, as long as the database comes back in time; a context manager.

    A database that has never answered is not waited for: its address is wrong, or nobody has started it. The user's own
    embedded server is started again with each session.

    Args:
        prepared: the search.
        url: of the database, with psycopg as its driver; None for the user's.
        pool: to be used in place of one that is opened for the search.
        patience: with an outage; None for the user's.
        has_answered: whether the database has already, so that it is waited for from the beginning.

    Raises:
        DatabaseError: the database is not there, or does not come back; the study can be resumed when it does.
        SpecificationError: the study exists, of another search; or the user's patience is no number.
    """

    session: SearchSession

    def __init__(
        self,
        prepared: PreparedSearch,
        url: str | None = None,
        pool: WorkerPool | None = None,
        patience: Patience | None = None,
        has_answered: bool = False,
    ) -> None:
        self._prepared = prepared
        self._url = url
        self._pool = pool
        self._patience = patience or Patience(patience_s())
        self._has_answered = has_answered
        self._unstored = Unstored()
        self._drivers: list[str] = []
        self._sessions = ExitStack()
        self.is_away = False

    def __enter__(self) -> Self:
        try:
            self._open()
        except DatabaseError as error:
            if not self._has_answered:
                raise
            self._outlast(error, lambda _: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.__exit__(kind, error, trace)

    def run(
        self,
        on_progress: Callable[[SearchProgress], None],
        read_course: Callable[[WorkerPool], Course] | None = None,
        on_verdict: Callable[[], None] = lambda: None,
        on_outage: Callable[[str], None] = lambda _: None,
    ) -> list[FinishedTrial]:
        """Search to the end; see `SearchSession.run`.

        Args:
            on_progress: called after every evaluation.
            read_course: see `Helm`.
            on_verdict: called when a trial has been scored on what was held out.
            on_outage: told for a person that the database is gone, and that it is back.
        """
        with ExitStack() as workers:
            while True:
                try:
                    pool = self._workers(workers)
                    return self.session.run(on_progress, pool, read_course, on_verdict, self._unstored)
                except DatabaseLostError as error:
                    self._outlast(error, on_outage)

    def _workers(self, workers: ExitStack) -> WorkerPool | None:
        """Opened when something is left to do, and kept for the sessions that follow."""
        with database_errors():
            if self._pool is None and not self.session.is_finished:
                self._pool = workers.enter_context(self._prepared.open_pool())
                workers.callback(self._forget_pool)
        return self._pool

    def _forget_pool(self) -> None:
        self._pool = None

    def _open(self) -> None:
        self.session = self._sessions.enter_context(open_session(self._prepared, self._url, self._drivers))
        self._drivers.append(self.session.study.driver)
        self._has_answered = True

    def _outlast(self, error: DatabaseError, on_outage: Callable[[str], None]) -> None:
        """Wait until the database is back, while the workers go on with what they have."""
        self.is_away = True
        self._sessions.close()
        while pause_s := self._patience.pause_s():
            reason = str(error.__cause__ or error).strip().splitlines()[0].rstrip(".")
            waiting = f"Waiting up to {self._patience.total_s:.0f} s; nothing is lost."
            on_outage(f"The database does not answer: {reason}. {waiting}")
            time.sleep(pause_s)
            try:
                self._open()
            except DatabaseError as again:
                error = again
            else:
                self.is_away = False
                on_outage("The database answers again.")
                return
        raise error
