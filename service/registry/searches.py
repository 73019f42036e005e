"""The searches of the service: asked for, stopped, resumed, and moved on by supervisor and drivers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from search_spaces.errors import MissingError, StateError
from service.registry.models import SearchRow
from service.registry.states import SearchState
from service.specification import Specification

# Studies of ours without a row: a command drives them.
_EXTERNAL = text(
    "SELECT study_name AS name, value_json FROM studies JOIN study_user_attributes USING (study_id)"
    " LEFT JOIN paretomerge_searches ON name = study_name"
    " WHERE key = 'paretomerge' AND name IS NULL AND (CAST(:name AS text) IS NULL OR study_name = :name)"
    " ORDER BY study_id"
)
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class SearchRegistry:
    """Rows of searches; every change is one transaction, and rows that are handed out are copies.

    Args:
        engine: see `service.database.connection.connect`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ---- what a client asks ----

    def create(self, specification: Specification) -> SearchRow:
        """Queue a new search.

        Raises:
            StateError: there is a search of that name.
        """
        row = SearchRow(
            name=specification.name, state=SearchState.QUEUED, specification=specification.model_dump(mode="json")
        )
        if any(self._externals(row.name)):
            raise _exists(row.name)
        try:
            with self._session() as session:
                session.add(row)
        except IntegrityError:
            raise _exists(row.name) from None
        return self.get(row.name)

    def stop(self, name: str) -> SearchRow:
        """Ask a search to stop: at once while it is queued, else when what is under way has ended.

        Raises:
            MissingError: there is none of that name.
            StateError: it has ended, is stopping already, or is a command's.
        """
        with self._session() as session:
            row = self._locked(session, name)
            if not SearchState(row.state).can_stop:
                raise StateError(f"A search must be queued or running to be stopped, but '{name}' is {row.state}.")
            if row.state == SearchState.QUEUED:
                _end(row, SearchState.STOPPED, "")
            else:
                row.state = SearchState.STOPPING
        return self.get(name)

    def resume(self, name: str, specification: Specification | None = None) -> SearchRow:
        """Queue a search again that has ended; one that a command drove becomes the service's.

        Args:
            name: of the search.
            specification: in place of the old one, such as with a larger budget; the driver refuses one of
                another search.

        Raises:
            MissingError: there is none of that name.
            StateError: it has not ended.
        """
        if not self._has_row(name):
            return self._adopt(self.get(name), specification)
        with self._session() as session:
            row = self._locked(session, name)
            if not SearchState(row.state).can_resume:
                raise StateError(f"A search must have ended to be resumed, but '{name}' is {row.state}.")
            _queue(row, specification)
        return self.get(name)

    def _adopt(self, external: SearchRow, specification: Specification | None) -> SearchRow:
        row = SearchRow(name=external.name, specification=external.specification)
        _queue(row, specification)
        try:
            with self._session() as session:
                session.add(row)
        except IntegrityError:
            raise StateError(f"The search '{external.name}' is being resumed already.") from None
        return self.get(external.name)

    # ---- reading ----

    def get(self, name: str) -> SearchRow:
        """One search.

        Raises:
            MissingError: there is none of that name.
        """
        with self._session() as session:
            row = session.get(SearchRow, name)
        found = row or next(iter(self._externals(name)), None)
        if found is None:
            raise MissingError(f"A search must exist, but there is none named '{name}'.")
        return found

    def all(self) -> list[SearchRow]:
        """Every search, the newest first; those of commands last."""
        with self._session() as session:
            rows = session.scalars(select(SearchRow).order_by(SearchRow.created_at.desc(), SearchRow.name)).all()
        return [*rows, *self._externals()]

    def in_states(self, states: Sequence[SearchState]) -> list[SearchRow]:
        """The searches in these states, the one that was queued first first."""
        chosen = select(SearchRow).where(SearchRow.state.in_(states)).order_by(SearchRow.queued_at, SearchRow.name)
        with self._session() as session:
            return list(session.scalars(chosen).all())

    # ---- what the supervisor and the drivers report ----

    def explain(self, name: str, state: SearchState, message: str) -> None:
        """Say what a search waits for, if it is in this state still."""
        with self._session() as session:
            row = self._locked(session, name)
            if row.state == state and row.message != message:
                row.message = message

    def allot(self, name: str, n_workers: int) -> None:
        """Say how many workers a search may have, if it has a driver still."""
        with self._session() as session:
            row = self._locked(session, name)
            if SearchState(row.state).has_driver:
                row.n_allotted = n_workers

    def start(self, name: str, driver: str = "") -> bool:
        """Let a queued search run, by this driver; False when it is not queued any more."""
        with self._session() as session:
            row = self._locked(session, name)
            if row.state != SearchState.QUEUED:
                return False
            row.state, row.message, row.n_starts, row.driver = SearchState.RUNNING, "", 1, driver
            row.started_at = row.started_at or func.now()
            return True

    def restart(self, name: str, driver: str, counts: bool = True) -> bool:
        """Let a running search go on with another driver.

        Args:
            name: of the search.
            driver: its next one.
            counts: as a start; not where the last driver was lost with its cluster, which is not the search's fault.

        Returns:
            False when it does not run any more.
        """
        with self._session() as session:
            row = self._locked(session, name)
            if row.state != SearchState.RUNNING:
                return False
            row.message, row.n_starts, row.n_alive, row.driver = "", row.n_starts + counts, 0, driver
            return True

    def report(self, name: str, driver: str, n_alive: int, has_progressed: bool) -> SearchRow | None:
        """Say how a search goes.

        Args:
            name: of the search.
            driver: who says so.
            n_alive: workers that it holds.
            has_progressed: whether an evaluation was finished since it was started or reported last.

        Returns:
            The row, which says what is wanted of the driver; None when nothing is any more: the search has
            ended, or another driver has taken over.
        """
        with self._session() as session:
            row = self._locked(session, name)
            if not _is_driven_by(row, driver):
                return None
            row.n_alive = n_alive
            if has_progressed:
                row.n_starts = 0
            return row

    def end(self, name: str, state: SearchState, message: str = "", driver: str | None = None) -> bool:
        """Let a search that has a driver end.

        Args:
            name: of the search.
            state: how it ends.
            message: why.
            driver: who says so; None for whoever watches over drivers.

        Returns:
            False when it had ended already, or another driver has taken over.
        """
        with self._session() as session:
            row = self._locked(session, name)
            if not _is_driven_by(row, driver):
                return False
            _end(row, state, message)
            return True

    # ---- the database ----

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A transaction whose rows can be read after it."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def _locked(self, session: Session, name: str) -> SearchRow:
        row = session.get(SearchRow, name, with_for_update=True)
        if row is None:
            if any(self._externals(name)):
                raise StateError(
                    f"The service must drive a search to change it, but a command drives '{name}'. Stop that command, "
                    "then resume the search here."
                )
            raise MissingError(f"A search must exist, but there is none named '{name}'.")
        return row

    def _has_row(self, name: str) -> bool:
        with self._session() as session:
            return session.get(SearchRow, name) is not None

    def _externals(self, name: str | None = None) -> list[SearchRow]:
        with self._engine.connect() as connection:
            rows = connection.execute(_EXTERNAL, {"name": name}).all()
        return [_external(row.name, json.loads(row.value_json)) for row in rows]


def _external(name: str, stored: dict[str, Any]) -> SearchRow:
    return SearchRow(
        name=name,
        state=SearchState.EXTERNAL,
        specification=stored["specification"],
        message="",
        n_allotted=0,
        n_alive=0,
        n_starts=0,
        created_at=_LONG_AGO,
        queued_at=_LONG_AGO,
    )


def _is_driven_by(row: SearchRow, driver: str | None) -> bool:
    return SearchState(row.state).has_driver and driver in (None, row.driver)


def _queue(row: SearchRow, specification: Specification | None) -> None:
    if specification is not None:
        row.specification = specification.model_dump(mode="json")
    row.state, row.message, row.queued_at, row.ended_at = SearchState.QUEUED, "", func.now(), None
    row.n_starts = row.n_allotted = row.n_alive = 0
    row.driver = ""


def _end(row: SearchRow, state: SearchState, message: str) -> None:
    row.state, row.message, row.ended_at = state, message, func.now()
    row.n_allotted = row.n_alive = 0


def _exists(name: str) -> StateError:
    return StateError(f"A new search must have a name of its own, but '{name}' exists. Resume it, or choose another.")
