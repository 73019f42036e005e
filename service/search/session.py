"""A search under way: its database, its driver, its study, and its workers when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from search_spaces.errors import DatabaseError
from service.database.connection import connect, database_url, plain_url
from service.search.helm import Course, Helm
from service.search.holdout_verdict import HoldoutVerdict
from service.search.preparation import PreparedSearch
from service.search.progress import SearchProgress
from service.search.search_loop import SearchLoop, Unstored
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
            PoolError: workers cannot be started or replaced.
        """
        if not self.is_finished:
            with nullcontext(pool) if pool else self.prepared.open_pool() as workers:
                helm = Helm(workers, read_course)
                SearchLoop(self.prepared, self.study, workers, on_progress, helm).run(unstored)
                HoldoutVerdict(self.prepared, self.study).run(workers, helm, on_verdict)
        return self.study.finished_trials()


@contextmanager
def open_session(prepared: PreparedSearch, url: str | None = None) -> Iterator[SearchSession]:
    """Join the database and the study.

    Args:
        prepared: the search.
        url: of the database, with psycopg as its driver; None for the user's.

    Raises:
        DatabaseError: the database is not there, or goes away; the study can be resumed when it is back.
        SpecificationError: the study exists, of another search.
    """
    url = url or database_url()
    engine: Engine = connect(url)
    try:
        with Driver(engine) as driver:
            study = SearchStudy(engine, driver, prepared.identity, prepared.plan())
            yield SearchSession(prepared, study, plain_url(url))
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DatabaseError(
            f"The study's database must stay reachable, but was lost: {reason} "
            "What was stored is safe: run the same command when it is back."
        ) from error
    finally:
        engine.dispose()
