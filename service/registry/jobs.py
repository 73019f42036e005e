"""Exports and completions: asked for by clients, done by one worker each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from search_spaces.errors import MissingError
from service.registry.models import CompletionsRow, ExportRow
from service.registry.states import JobState

_Row = TypeVar("_Row", ExportRow, CompletionsRow)


class JobRegistry(Generic[_Row]):
    """Rows of one kind of job; every change is one transaction, and rows that are handed out are copies.

    Args:
        engine: see `service.database.connection.connect`.
        kind: `ExportRow` or `CompletionsRow`.
    """

    def __init__(self, engine: Engine, kind: type[_Row]) -> None:
        self._engine = engine
        self.kind: Any = kind

    def create(self, row: _Row) -> _Row:
        """Queue a job."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            session.add(row)
        return self.get(row.id)

    def get(self, job_id: uuid.UUID) -> _Row:
        """One job.

        Raises:
            MissingError: there is none.
        """
        with Session(self._engine, expire_on_commit=False) as session:
            row: _Row | None = session.get(self.kind, job_id)
        if row is None:
            raise MissingError(f"There must be something under an id, but there is nothing under '{job_id}'.")
        return row

    def of_search(self, search: str) -> list[_Row]:
        """The jobs of a search, the newest first."""
        chosen = select(self.kind).where(self.kind.search == search).order_by(self.kind.created_at.desc())
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(chosen).all())

    def active(self) -> list[_Row]:
        """The jobs that have not ended, the oldest first."""
        states = [state for state in JobState if state.is_active]
        chosen = select(self.kind).where(self.kind.state.in_(states)).order_by(self.kind.created_at)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(chosen).all())

    def start(self, job_id: uuid.UUID, driver: str = "") -> bool:
        """Let a driver do a job, the first one or one more; False when it has ended."""
        with self._active(job_id) as row:
            if row:
                row.state, row.n_starts, row.driver = JobState.RUNNING, row.n_starts + 1, driver
                row.stage, row.started_at = "starting", row.started_at or func.now()
            return row is not None

    def report(self, job_id: uuid.UUID, stage: str, driver: str | None = None) -> bool:
        """Say what a job does now, or waits for; False when it has ended, or another driver has taken over."""
        with self._active(job_id, driver) as row:
            if row:
                row.stage = stage
            return row is not None

    def finish(self, job_id: uuid.UUID, result: dict[str, Any], driver: str | None = None) -> bool:
        """Store what came of a job; False as in `report`."""
        return self._end(job_id, JobState.FINISHED, driver, result=result)

    def fail(self, job_id: uuid.UUID, message: str, driver: str | None = None) -> bool:
        """Store why nothing came of it; False as in `report`."""
        return self._end(job_id, JobState.FAILED, driver, message=message)

    def _end(self, job_id: uuid.UUID, state: JobState, driver: str | None, **outcome: Any) -> bool:
        with self._active(job_id, driver) as row:
            if row:
                row.state, row.stage, row.ended_at = state, "", func.now()
                for column, value in outcome.items():
                    setattr(row, column, value)
            return row is not None

    @contextmanager
    def _active(self, job_id: uuid.UUID, driver: str | None = None) -> Iterator[_Row | None]:
        """A job's row, to be changed in one transaction; None when it has ended, or is another driver's."""
        with Session(self._engine) as session, session.begin():
            row: _Row = session.get_one(self.kind, job_id, with_for_update=True)
            is_ours = JobState(row.state).is_active and driver in (None, row.driver)
            yield row if is_ours else None
