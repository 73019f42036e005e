"""Trials whose driver is gone: they wait again, under their own number and with their own parameters."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

from service.studies.driver import Driver, lock_key
from service.studies.study_storage import LOCK_STUDY

# A living driver whose connection just broke has its lock back by then.
_SECOND_LOOK_S = 1.0

_RUNNING = text(
    "SELECT trial_id, driver, coalesce(expires_at < now(), true) AS expired"
    " FROM trials LEFT JOIN paretomerge_leases USING (trial_id)"
    " WHERE study_id = :study AND state = 'RUNNING' AND coalesce(driver, '') <> :driver ORDER BY trial_id"
)
_PARAMS = text("SELECT param_name, param_value FROM trial_params WHERE trial_id = :trial ORDER BY param_id")
_FIX_PARAMS = text(
    "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (:trial, 'fixed_params', :params)"
    " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
)
_FORGET_PARAMS = text("DELETE FROM trial_params WHERE trial_id = :trial")
_RELEASE = text("DELETE FROM paretomerge_leases WHERE trial_id = :trial")
_WAIT = text("UPDATE trials SET state = 'WAITING', datetime_start = NULL WHERE trial_id = :trial AND state = 'RUNNING'")


def requeue_orphans(engine: Engine, study_id: int, driver: Driver, n_params: int) -> int:
    """Let running trials that nobody answers for wait again.

    A driver is gone when its lease has expired, or when its lock is free at two looks. A trial that was
    caught before all its parameters were written is sampled anew, still under its number.

    Args:
        engine: over the study's database.
        study_id: Optuna's.
        driver: this driver; its own trials are left alone.
        n_params: how many parameters a whole trial has.

    Returns:
        How many trials wait again.
    """
    if not _orphans(engine, study_id, driver):
        return 0
    time.sleep(_SECOND_LOOK_S)
    with engine.begin() as connection:
        connection.execute(LOCK_STUDY, {"study": study_id})
        return sum(_requeue(connection, trial_id, n_params) for trial_id in _orphans_over(connection, study_id, driver))


def _orphans(engine: Engine, study_id: int, driver: Driver) -> Sequence[int]:
    with engine.begin() as connection:
        return _orphans_over(connection, study_id, driver)


def _orphans_over(connection: Connection, study_id: int, driver: Driver) -> list[int]:
    rows = connection.execute(_RUNNING, {"study": study_id, "driver": driver.name}).all()
    gone = {
        row.driver: row.driver in driver.predecessors or _is_gone(connection, row.driver)
        for row in rows
        if row.driver and not row.expired
    }
    return [row.trial_id for row in rows if row.expired or gone[row.driver]]


def _is_gone(connection: Connection, driver: str) -> bool:
    """Whether the driver's lock is free; taken for the transaction only."""
    lock = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool(connection.execute(lock, {"key": lock_key(driver)}).scalar_one())


def _requeue(connection: Connection, trial_id: int, n_params: int) -> bool:
    """Whether it still ran: its driver may just have told its result, and holds the lease while it does."""
    connection.execute(_RELEASE, {"trial": trial_id})
    if connection.execute(_WAIT, {"trial": trial_id}).rowcount == 0:
        return False
    params = {row.param_name: row.param_value for row in connection.execute(_PARAMS, {"trial": trial_id})}
    if len(params) == n_params:
        # Optuna hands these out when it next takes the trial from the queue.
        connection.execute(_FIX_PARAMS, {"trial": trial_id, "params": json.dumps(params)})
    connection.execute(_FORGET_PARAMS, {"trial": trial_id})
    return True
