"""Exports and completions as the supervisor sees them: one queue, the oldest first."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from search_spaces.errors import MissingError
from service.exports.partial_folders import remove_partial_exports
from service.registry import CompletionsRow, ExportRow, JobRegistry, JobState, SearchRegistry
from service.settings import ServiceSettings
from service.supervision.drivers import Drivers
from service.supervision.fair_shares import Demand
from service.supervision.job_driver import CompletionsDriver, ExportDriver, JobDriver, JobDriverSetup
from service.supervision.worker_demand import demand_of

# A job that was started again so often, and whose driver dies by itself, is not started once more.
MAX_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class _Kind:
    registry: JobRegistry[Any]
    driver: type[JobDriver]


@dataclass(frozen=True, slots=True)
class Job:
    """A job that has not ended.

    Args:
        row: of an export or of completions.
        demand: one worker of its search's size.
    """

    row: ExportRow | CompletionsRow
    demand: Demand

    @property
    def is_running(self) -> bool:
        """Whether a driver must be alive for it."""
        return self.row.state == JobState.RUNNING

    @property
    def created_at(self) -> datetime:
        """Its place in the queue."""
        return self.row.created_at


class JobDesk:
    """Starts jobs, and those again whose driver has died.

    Args:
        settings: of the service.
        engine: over its database.
        drivers: of searches and jobs.
    """

    def __init__(self, settings: ServiceSettings, engine: Engine, drivers: Drivers) -> None:
        self._settings = settings
        self._drivers = drivers
        self._searches = SearchRegistry(engine)
        self._kinds: dict[type, _Kind] = {
            ExportRow: _Kind(JobRegistry(engine, ExportRow), ExportDriver),
            CompletionsRow: _Kind(JobRegistry(engine, CompletionsRow), CompletionsDriver),
        }

    def active(self) -> list[Job]:
        """The jobs that have not ended, the oldest first."""
        rows = [row for kind in self._kinds.values() for row in kind.registry.active()]
        jobs = [job for row in rows if (job := self._job(row))]
        return sorted(jobs, key=lambda job: job.created_at)

    def _job(self, row: ExportRow | CompletionsRow) -> Job | None:
        try:
            workers = self._searches.get(row.search).specification["workers"]
        except MissingError as error:
            self._registry(row).fail(row.id, str(error))
            return None
        return Job(row, demand_of(workers, n_wanted=1))

    def replace_drivers(self) -> None:
        """Start those again whose driver has died."""
        for job in self.active():
            row = job.row
            if job.is_running and not self._drivers.lives(row.driver):
                if row.n_starts > MAX_RESTARTS and self._drivers.has_died(row.driver):
                    self._give_up(row)
                else:
                    self._start(row)

    def start(self, jobs: Sequence[Job], shares: Sequence[int]) -> None:
        """Start those of the queue that have a share; the others say that they wait."""
        for job, n_workers in zip(jobs, shares, strict=True):
            if job.is_running:
                continue
            if n_workers:
                self._start(job.row)
            elif job.row.stage != "waits for a worker":
                self._registry(job.row).report(job.row.id, "waits for a worker")

    def _start(self, row: ExportRow | CompletionsRow) -> None:
        kind = self._kinds[type(row)]
        driver = f"job-{row.id}-{uuid.uuid4().hex[:12]}"
        if kind.registry.start(row.id, driver):
            url, exports = self._settings.database_url, self._settings.exports.absolute()
            self._drivers.launch(kind.driver, JobDriverSetup(driver, url, row.id, exports))

    def _give_up(self, row: ExportRow | CompletionsRow) -> None:
        cause = self._drivers.cause_of_death(row.driver)
        self._registry(row).fail(
            row.id, f"The driver of a job must live, but of {row.n_starts} none did to its end; the last one: {cause}."
        )
        if isinstance(row, ExportRow):
            remove_partial_exports(self._settings.exports / row.folder)

    def _registry(self, row: ExportRow | CompletionsRow) -> JobRegistry[Any]:
        return self._kinds[type(row)].registry
