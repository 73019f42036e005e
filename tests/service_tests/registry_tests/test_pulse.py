"""The supervisor's pulse and its lock."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from service.database.connection import connect
from service.registry import Pulse, SupervisorLock


def test_a_beat_is_seen(engine: Engine) -> None:
    pulse = Pulse(engine)
    assert pulse.namespace.startswith("paretomerge-")
    pulse.beat({"cpus": 2.0}, "Ray is starting.")
    with engine.connect() as connection:
        row = connection.execute(text("SELECT cluster, message, now() - beat_at FROM paretomerge_supervisor")).one()
    assert row[:2] == ({"cpus": 2.0}, "Ray is starting.")
    assert row[2].total_seconds() < 60


def test_one_supervisor_has_the_lock(fresh_database_url: str, engine: Engine) -> None:
    other = connect(fresh_database_url)
    one, two = SupervisorLock(engine), SupervisorLock(other)
    assert one.hold()
    assert one.hold()
    assert not two.hold()
    one.release()
    assert two.hold()
    assert not one.hold()
    two.release()
    one.release()
    other.dispose()


def test_a_lock_whose_connection_is_cut_is_lost_and_taken_again(engine: Engine) -> None:
    lock, other = SupervisorLock(engine), SupervisorLock(engine)
    assert lock.hold()
    assert lock._connection is not None
    backend = lock._connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
    assert other.hold()
    try:
        still_held = lock.hold()
    except SQLAlchemyError:
        still_held = lock.hold()
    assert not still_held
    other.release()
    assert lock.hold()
    lock.release()
