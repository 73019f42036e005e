"""The harness' own PostgreSQL, what is read from it, and what is done to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from search_spaces.errors import DatabaseError
from service.database.connection import plain_url
from service.database.embedded_postgres import EmbeddedPostgres
from service.database.postgres_binaries import PostgresBinaries
from tests.chaos.commands import variables_set

_TRIALS = """
    SELECT number, state::text,
        (SELECT json_object_agg(param_name, param_value) FROM trial_params p WHERE p.trial_id = t.trial_id),
        (SELECT json_agg(value ORDER BY objective) FROM trial_values v WHERE v.trial_id = t.trial_id),
        (SELECT json_object_agg(key, value_json::json) FROM trial_user_attributes a WHERE a.trial_id = t.trial_id),
        (SELECT value_json::float8 FROM trial_system_attributes s
            WHERE s.trial_id = t.trial_id AND key = 'paretomerge:cost'),
        (SELECT json_agg(measure) FROM paretomerge_scores r WHERE r.trial_id = t.trial_id),
        (SELECT driver FROM paretomerge_leases l WHERE l.trial_id = t.trial_id)
    FROM trials t JOIN studies USING (study_id) WHERE study_name = %s ORDER BY number
"""
_COUNT = """
    SELECT count(*) FROM trials JOIN studies USING (study_id)
    WHERE study_name = %s AND state IN ('COMPLETE', 'FAIL')
"""
_MOVE_LEASES = """
    UPDATE paretomerge_leases SET expires_at = expires_at + make_interval(secs => %s) WHERE trial_id IN
        (SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = %s)
"""
_DROP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'paretomerge'"


# Whoever starts the server: a crash of its processes, unlike one of the machine, loses nothing by it.
FAST = {"PARETOMERGE_POSTGRES_FSYNC": "off"}


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as Postgres has it.

    Args:
        number: of the trial.
        state: Optuna's word.
        params: name → value.
        values: in the order of the objectives; empty without.
        attributes: what was stored with its result.
        cost: in evaluation-equivalents.
        measures: those of which it has scores.
        driver: who holds its lease, or "".
    """

    number: int
    state: str
    params: Mapping[str, float]
    values: tuple[float, ...]
    attributes: Mapping[str, Any]
    cost: float
    measures: frozenset[str]
    driver: str


class ChaosDatabase:
    """A server in a folder of its own.

    Args:
        folder: where all users may enter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = EmbeddedPostgres(folder / "postgres")
        self._connection: psycopg.Connection[Any] | None = None

    def start(self) -> None:
        """Start it, or wait until the start or recovery by another is over."""
        with variables_set(FAST):
            self._server.start()

    def stop(self) -> None:
        """As its operator would, ending all sessions."""
        self._forget()
        self._server.stop()

    def crash(self) -> None:
        """End all its processes as they are: it has to recover."""
        self._forget()
        folder = self._server.folder
        PostgresBinaries.for_database(folder).run(
            folder / "log", "pg_ctl", "-D", folder / "data", "stop", "-m", "immediate"
        )

    def drop_connections(self) -> int:
        """End the sessions of all commands; how many."""
        rows = self._rows(_DROP)
        return 0 if rows is None else len(rows)

    def move_leases(self, study: str, seconds: float) -> bool:
        """Let them expire later, or earlier; whether there were any."""
        return bool(self._rows(_MOVE_LEASES + " RETURNING trial_id", seconds, study))

    def leases(self, study: str) -> set[tuple[int, str]]:
        """Number of a trial, and who holds it."""
        return {(trial.number, trial.driver) for trial in self.trials(study) or () if trial.driver}

    def n_finished(self, study: str) -> int | None:
        """How many trials are; None while the database cannot say."""
        rows = self._rows(_COUNT, study)
        return rows[0][0] if rows else None

    def trials(self, study: str) -> list[StoredTrial] | None:
        """All of them by number; None while the database cannot say."""
        rows = self._rows(_TRIALS, study)
        return None if rows is None else [_trial(row) for row in rows]

    def trials_for_sure(self, study: str, timeout_s: float = 60) -> list[StoredTrial]:
        """The same, of a database that is up or will be soon."""
        deadline = time.monotonic() + timeout_s
        while (found := self.trials(study)) is None:
            if time.monotonic() > deadline:
                raise DatabaseError(f"The harness' database must answer in {timeout_s:g} s, but does not.")
            time.sleep(0.1)
        return found

    def _rows(self, statement: str, *values: Any) -> list[Any] | None:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    plain_url(self._server.url()), autocommit=True, connect_timeout=5, application_name="chaos"
                )
            return self._connection.execute(statement, values).fetchall()
        except psycopg.errors.UndefinedTable:
            return []
        except (psycopg.Error, DatabaseError):
            self._forget()
            return None

    def _forget(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None


def _trial(row: tuple[Any, ...]) -> StoredTrial:
    number, state, params, values, attributes, cost, measures, driver = row
    return StoredTrial(
        number=number,
        state=state,
        params=params or {},
        values=tuple(values or ()),
        attributes=attributes or {},
        cost=1.0 if cost is None else cost,
        measures=frozenset(measures or ()),
        driver=driver or "",
    )
