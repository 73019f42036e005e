"""The supervisor: once per second it makes what runs equal to what the rows say."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine

from search_spaces.errors import MissingError, StateError
from service.registry import Pulse, SearchRegistry, SearchRow, SearchState
from service.settings import ServiceSettings
from service.supervision.cluster import Cluster
from service.supervision.drivers import Drivers
from service.supervision.fair_shares import Resources, admit, deal
from service.supervision.job_desk import Job, JobDesk
from service.supervision.search_driver import SearchDriver, SearchDriverSetup
from service.supervision.worker_demand import demand_of

# So many drivers in succession may die before an evaluation is finished: then the search, and not the machine, is why.
MAX_DEATHS = 5
# Before the second driver; doubled for each one more.
_FIRST_PAUSE_S = 1.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Starts, watches and ends the drivers of searches and jobs.

    All that must outlive it is in the rows: a new one adopts the drivers that live, and replaces those that do not.

    Args:
        settings: of the service.
        engine: over its database.
        cluster: where drivers and workers run.
    """

    def __init__(self, settings: ServiceSettings, engine: Engine, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self._pulse = Pulse(engine)
        self._searches = SearchRegistry(engine)
        self._drivers = Drivers(cluster)
        self._desk = JobDesk(settings, engine, self._drivers)
        self._not_before: dict[str, float] = {}  # a driver that died → when the next one may start
        self._drivers.bury_strays(
            {row.driver for row in self._driven()} | {job.row.driver for job in self._desk.active()}
        )

    def go_round(self) -> None:
        """Beat, end what is over, restart what died, admit, deal shares, start."""
        nodes = self._cluster.nodes()
        self._beat(nodes)
        self._drivers.note_deaths()
        self._replace_drivers()
        self._desk.replace_drivers()
        self._admit(nodes)
        jobs = self._desk.active()
        self._desk.start(jobs, self._deal(nodes, jobs))

    def _beat(self, nodes: Sequence[Resources]) -> None:
        n_alive = sum(row.n_alive for row in self._driven()) + sum(job.is_running for job in self._desk.active())
        total = sum(nodes, Resources(0.0))
        self._pulse.beat({"cpus": total.cpus, "gpus": total.gpus, "nodes": len(nodes), "workers_alive": n_alive})

    def _driven(self) -> list[SearchRow]:
        return self._searches.in_states([state for state in SearchState if state.has_driver])

    # ---- restart what died ----

    def _replace_drivers(self) -> None:
        for row in self._driven():
            if not self._drivers.lives(row.driver):
                with _passed_over_if_gone(row):
                    self._replace(row)

    def _replace(self, row: SearchRow) -> None:
        has_died = self._drivers.has_died(row.driver)
        if row.state == SearchState.STOPPING:
            self._searches.end(row.name, SearchState.STOPPED)  # what was under way died with its driver
        elif has_died and row.n_starts >= MAX_DEATHS:
            message = (
                f"The driver of a search must live, but {row.n_starts} in succession died before an evaluation was "
                f"finished; the last one: {self._drivers.cause_of_death(row.driver)}. Resume it when that is mended."
            )
            self._searches.end(row.name, SearchState.FAILED, message)
        elif self._may_be_replaced(row):
            driver = _new_name(row)
            if self._searches.restart(row.name, driver, counts=has_died):
                self._launch(row, driver)

    def _may_be_replaced(self, row: SearchRow) -> bool:
        """At once when its cluster was lost; after a pause when it died by itself."""
        if not self._drivers.has_died(row.driver):
            return True
        if row.driver not in self._not_before:
            self._not_before[row.driver] = time.monotonic() + _FIRST_PAUSE_S * 2 ** max(0, row.n_starts - 1)
            cause = self._drivers.cause_of_death(row.driver)
            self._searches.explain(row.name, SearchState.RUNNING, f"Its driver died: {cause}. Another one starts.")
        return time.monotonic() >= self._not_before[row.driver]

    def _launch(self, row: SearchRow, driver: str) -> None:
        self._drivers.launch(SearchDriver, SearchDriverSetup(driver, self._settings.database_url, row.name))

    # ---- admit ----

    def _admit(self, nodes: Sequence[Resources]) -> None:
        """Start the searches of the queue that may; the others say what they wait for."""
        running = [demand_of(row.specification["workers"]).per_worker for row in self._driven()]
        queue = self._searches.in_states([SearchState.QUEUED])
        queued = [demand_of(row.specification["workers"]).per_worker for row in queue]
        for row, reason in zip(queue, admit(nodes, running, queued, self._settings.n_slots), strict=True):
            with _passed_over_if_gone(row):
                if reason:
                    self._searches.explain(row.name, SearchState.QUEUED, reason)
                elif self._searches.start(row.name, driver := _new_name(row)):
                    self._launch(row, driver)

    # ---- deal shares ----

    def _deal(self, nodes: Sequence[Resources], jobs: Sequence[Job]) -> tuple[int, ...]:
        """Tell every search how many workers it may have; the jobs' shares."""
        rows = self._driven()
        # One that stops needs those that have something under way, and starts no others.
        wanted = [max(1, row.n_alive) if row.state == SearchState.STOPPING else None for row in rows]
        demands = [demand_of(row.specification["workers"], n) for row, n in zip(rows, wanted, strict=True)]
        shares = deal(nodes, [job.demand for job in jobs], demands)
        for row, n_workers in zip(rows, shares.searches, strict=True):
            if n_workers != row.n_allotted:
                with _passed_over_if_gone(row):
                    self._searches.allot(row.name, n_workers)
        return shares.jobs


@contextmanager
def _passed_over_if_gone(row: SearchRow) -> Iterator[None]:
    """The others go on where a row was removed by hand since it was read."""
    try:
        yield
    except (MissingError, StateError) as error:  # the latter where its study is left
        _log.warning("The search '%s' is passed over: %s", row.name, error)


def _new_name(row: SearchRow) -> str:
    """Of a driver; no two have one, so that what a dead one said cannot be taken for its successor's."""
    return f"search-{row.name}-{uuid.uuid4().hex[:12]}"
