"""A search under way: its database, its driver, its study, and its workers when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, NotSupportedError, ProgrammingError, SQLAlchemyError

from search_spaces.errors import DatabaseError, DatabaseLostError
from service.database.connection import connect, database_url, plain_url
from service.search.helm import Course, Helm
from service.search.holdout_verdict import HoldoutVerdict
from service.search.preparation import PreparedSearch
from service.search.progress import SearchProgress
from service.search.search_loop import SearchLoop
from service.search.unstored import Unstored
from service.studies import Driver, FinishedTrial, SearchStudy
from workers.worker_pools import WorkerPool


@dataclass(frozen=True, slots=True)
class SearchSession:
    """A study that this process drives.

    Args:
        prepared: the search.
        study: opened, with orphans taken up.
        url: of the database, as `psql` takes it.
    """

    prepared: PreparedSearch
    study: SearchStudy
    url: str = field(repr=False)

    @property
    def is_finished(self) -> bool:
        """Whether the budget is spent, and all is scored on what was held out that shall be."""
        return self.study.is_finished and not HoldoutVerdict(self.prepared, self.study).waiting()

    def run(
        self,
        on_progress: Callable[[SearchProgress], None],
        pool: WorkerPool | None = None,
        read_course: Callable[[WorkerPool], Course] | None = None,
        on_verdict: Callable[[], None] = lambda: None,
        unstored: Unstored | None = None,
    ) -> list[FinishedTrial]:
        """Evaluate until the budget is spent, then score front and landmarks on what was held out.

        Workers start only if something is left to do.

        Args:
            on_progress: called after every evaluation.
            pool: to be used in place of one that is opened for the search.
            read_course: see `Helm`; one that is told to stop leaves the rest for the next run.
            on_verdict: called when a trial has been scored on what was held out.
            unstored: see `SearchLoop.run`; goes with the pool.

        Raises:
            DatabaseLostError: the database is gone; with what it left in `unstored`, the next session goes on.
            PoolError: workers cannot be started or replaced.
        """
        with database_errors():
            if not self.is_finished:
                with nullcontext(pool) if pool else self.prepared.open_pool() as workers:
                    helm = Helm(workers, read_course)
                    SearchLoop(self.prepared, self.study, workers, on_progress, helm).run(unstored)
                    HoldoutVerdict(self.prepared, self.study).run(workers, helm, on_verdict, unstored)
            return self.study.finished_trials()


# Of a statement, and not of the server: the next attempt would fail as well.
_MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


@contextmanager
def open_session(
    prepared: PreparedSearch, url: str | None = None, predecessors: Collection[str] = ()
) -> Iterator[SearchSession]:
    """Join the database and the study.

    Args:
        prepared: the search.
        url: of the database, with psycopg as its driver; None for the user's.
        predecessors: drivers of sessions that this process has closed; what they left running is taken up at once.

    Raises:
        DatabaseError: the database is not there, or goes away; the study can be resumed when it is back.
        SpecificationError: the study exists, of another search.
    """
    url = url or database_url()
    engine: Engine = connect(url)
    try:
        with database_errors(), Driver(engine, predecessors) as driver:
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            yield SearchSession(prepared, study, plain_url(url))
    finally:
        engine.dispose()


@contextmanager
def database_errors() -> Iterator[None]:
    """Say what a failure of the database means for a search.

    Raises:
        DatabaseLostError: the database is gone, or takes no writes.
        DatabaseError: it refuses what it was told.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(error).strip().splitlines()[0]
        if isinstance(cause, _MISTAKES):
            raise DatabaseError(
                f"The study's database must take what a search writes, but refuses: {reason} "
                "What was stored is safe. Has somebody changed the database? `paretomerge database upgrade` looks."
            ) from error
        raise DatabaseLostError(
            f"The study's database must stay reachable, but was lost: {reason} "
            "What was stored is safe: run the same command when it is back."
        ) from error
