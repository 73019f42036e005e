"""The life of a supervisor's process: it waits for the database, for its turn and for the cluster, then goes round."""

from __future__ import annotations

import logging
import threading
from typing import NoReturn

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from search_spaces.errors import DatabaseError, PoolError
from service.database.connection import connect
from service.registry import Pulse, SupervisorLock
from service.settings import ServiceSettings
from service.supervision.cluster import Cluster
from service.supervision.cluster_watch import cluster_watched
from service.supervision.process_session import leave
from service.supervision.supervisor import Supervisor

_ROUND_S = 1.0
_GONE = "The Ray cluster is gone; the searches go on in a new one."

_log = logging.getLogger(__name__)


class LostError(Exception):
    """What a supervisor stands on is gone: its cluster, or its turn. A new process finds its way anew."""


def supervise(settings: ServiceSettings, ends: threading.Event) -> None:
    """Be the supervisor of a database, or wait to become it.

    Args:
        settings: of the service.
        ends: set when it shall end.

    Raises:
        LostError: the cluster has died, or another supervisor has come.
    """
    engine = _await_database(settings.database_url, ends)
    if engine is None:
        return
    lock = SupervisorLock(engine)
    try:
        while not _holds(lock):
            if ends.wait(_ROUND_S):
                return
        cluster = _await_cluster(settings, engine, ends)
        if cluster is not None:
            with cluster_watched(cluster.answers, _leave):
                _go_round(Supervisor(settings, engine, cluster), cluster, lock, ends)
            cluster.close()
    finally:
        lock.release()
        engine.dispose()


def _await_database(url: str, ends: threading.Event) -> Engine | None:
    while not ends.is_set():
        try:
            return connect(url)
        except DatabaseError as error:
            _log.warning("%s", error)
            ends.wait(_ROUND_S)
    return None


def _holds(lock: SupervisorLock) -> bool:
    try:
        return lock.hold()
    except SQLAlchemyError:
        return False


def _await_cluster(settings: ServiceSettings, engine: Engine, ends: threading.Event) -> Cluster | None:
    pulse = Pulse(engine)
    message = "Ray is starting."
    while not ends.is_set():
        try:
            pulse.beat({}, message)
            return Cluster(settings.ray_address, settings.n_cpus, pulse.namespace)
        except PoolError as error:
            message = str(error)
            _log.warning("%s", message)
        except SQLAlchemyError as error:
            _log.warning("The database must answer, but does not: %s", _first_line(error))
        ends.wait(_ROUND_S)
    return None


def _go_round(supervisor: Supervisor, cluster: Cluster, lock: SupervisorLock, ends: threading.Event) -> None:
    while not ends.is_set():
        if not cluster.answers():
            raise LostError(_GONE)
        try:
            if not lock.hold():
                raise LostError("Another supervisor has come, while the database did not answer this one.")
            supervisor.go_round()
        except SQLAlchemyError as error:
            _log.warning("The database must answer, but does not: %s", _first_line(error))
        ends.wait(_ROUND_S)


def _leave() -> NoReturn:
    """While a call to the cluster that is gone has not come back."""
    _log.warning(_GONE)
    leave()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
