"""The driver of one search under Ray: the same loop that the command line runs, steered by the search's row."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from search_spaces.errors import DatabaseError, FailureError, ParetomergeError
from service.registry import SearchRegistry, SearchState
from service.search.helm import Course
from service.supervision.driver_actor import DriverActor, DriverSetup, SupersededError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.search import PreparedSearch, SearchProgress
    from service.specification import WorkersSection
    from workers.worker_pools import WorkerPool
    from workers.worker_pools._base import Setup

# An outage of the database that a driver bears with its workers alive; after it the supervisor starts another driver.
_PATIENCE_S = 900.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchDriverSetup(DriverSetup):
    """What the driver of a search is told.

    Args:
        search: its name.
    """

    search: str


class SearchDriver(DriverActor):
    """Runs a search until it is finished, stopped or failed, and says so in its row.

    Args:
        setup: which search.
    """

    def __init__(self, setup: SearchDriverSetup) -> None:
        self._setup = setup
        self._has_progressed = False
        self._is_stopping = False
        super().__init__()

    def _work(self) -> None:
        from service.database.connection import connect

        engine = connect(self._setup.database_url)
        self._engine, self._registry = engine, SearchRegistry(engine)
        try:
            self._search_to_its_end()
        finally:
            engine.dispose()

    def _search_to_its_end(self) -> None:
        try:
            state, message = self._search(), ""
        except SupersededError:
            return
        except DatabaseError:
            raise  # the row cannot be written either
        except ParetomergeError as error:
            if isinstance(error, FailureError) and self.lost_cluster():
                raise  # its cluster died under it: another driver goes on, on another cluster
            state, message = SearchState.FAILED, str(error)
        self._registry.end(self._setup.search, state, message, self._setup.driver)

    def _search(self) -> SearchState:
        from service.search.durable_session import DurableSession
        from service.search.patience import Patience

        prepared = prepared_for_service(self._registry.get(self._setup.search).specification, self._engine)
        with (
            open_connected_pool(prepared.worker_setup(), prepared.specification.workers, n_workers=0) as pool,
            DurableSession(
                prepared, self._setup.database_url, pool, Patience(_PATIENCE_S), has_answered=True
            ) as search,
        ):
            search.run(self._note_progress, self._read_course, self._note_progress, _log.warning)
            # What failed on held-out examples lacks their scores, and is no reason to call the search stopped.
            return SearchState.STOPPED if self._is_stopping and not search.session.is_finished else SearchState.FINISHED

    def _note_progress(self, progress: SearchProgress | None = None) -> None:
        self._has_progressed = True

    def _read_course(self, pool: WorkerPool) -> Course:
        row = self._registry.report(self._setup.search, self._setup.driver, pool.n_alive, self._has_progressed)
        if row is None:
            raise SupersededError
        self._has_progressed = False
        self._is_stopping = row.state == SearchState.STOPPING
        return Course(row.n_allotted, is_stopping=self._is_stopping)


def prepared_for_service(specification: dict[str, Any], engine: Engine) -> PreparedSearch:
    """A stored specification, read again with models, sets and earlier fronts as they are now.

    Its workers' engine is not looked for: they run on any node, and not in the driver's process.

    Args:
        specification: as the row of the search has it.
        engine: of the service's database.

    Raises:
        UserError: see `prepare_search`.
    """
    from service.search import prepare_search
    from service.specification import restore_specification
    from service.studies import load_study

    restored = restore_specification(specification)
    return prepare_search(restored, checks_engine=False, read_study=partial(load_study, engine))


def open_connected_pool(setup: Setup, workers: WorkersSection, n_workers: int) -> WorkerPool:
    """A pool over the driver's own connection: the service, and not the specification, says where workers run."""
    from service.search.preparation import open_pool
    from workers.worker_pools import CONNECTED

    ours = {"pool": "ray", "address": CONNECTED, "count": n_workers, "min_count": None}
    return open_pool(setup, workers.model_copy(update=ours))
