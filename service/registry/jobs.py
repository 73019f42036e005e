"""Exports and completions: asked for by clients, done by one worker each."""

from __future__ import annotations

import uuid
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
        self._kind: Any = kind

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
            row: _Row | None = session.get(self._kind, job_id)
        if row is None:
            raise MissingError(f"There must be something under an id, but there is nothing under '{job_id}'.")
        return row

    def of_search(self, search: str) -> list[_Row]:
        """The jobs of a search, the newest first."""
        chosen = select(self._kind).where(self._kind.search == search).order_by(self._kind.created_at.desc())
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(chosen).all())

    def active(self) -> list[_Row]:
        """The jobs that have not ended, the oldest first."""
        states = [state for state in JobState if state.is_active]
        chosen = select(self._kind).where(self._kind.state.in_(states)).order_by(self._kind.created_at)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.scalars(chosen).all())

    def start(self, job_id: uuid.UUID) -> None:
        """Count one more start."""
        with Session(self._engine) as session, session.begin():
            row = session.get_one(self._kind, job_id, with_for_update=True)
            row.state, row.n_starts, row.started_at = JobState.RUNNING, row.n_starts + 1, func.now()

    def report(self, job_id: uuid.UUID, stage: str) -> None:
        """Say what a job does now."""
        with Session(self._engine) as session, session.begin():
            session.get_one(self._kind, job_id).stage = stage

    def finish(self, job_id: uuid.UUID, result: dict[str, Any]) -> None:
        """Store what came of a job."""
        self._end(job_id, JobState.FINISHED, "", result)

    def fail(self, job_id: uuid.UUID, message: str) -> None:
        """Store why nothing came of it."""
        self._end(job_id, JobState.FAILED, message, None)

    def _end(self, job_id: uuid.UUID, state: JobState, message: str, result: dict[str, Any] | None) -> None:
        with Session(self._engine) as session, session.begin():
            row = session.get_one(self._kind, job_id, with_for_update=True)
            if JobState(row.state).is_active:
                row.state, row.message, row.result, row.stage, row.ended_at = state, message, result, "", func.now()
