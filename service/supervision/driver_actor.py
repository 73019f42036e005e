"""What all drivers under Ray have in common: they work in a thread, and can be waited for."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from service.supervision.cluster_probe import ClusterProbe

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DriverSetup:
    """What a driver is told; it travels as an argument, which nobody shows.

    Args:
        driver: its own name.
        database_url: with psycopg as its driver.
    """

    driver: str
    database_url: str = field(repr=False)


class SupersededError(Exception):
    """What is driven has ended, or another driver drives it: what this one would say does not count."""


class DriverActor(ABC):
    """A Ray actor that begins to work as soon as it is there: between its start and its work nothing can be lost."""

    def __init__(self) -> None:
        self._probe = ClusterProbe()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Return when the work is done; what it died of is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def lost_cluster(self) -> bool:
        """Whether the cluster has died under this driver: then nothing that fails says anything."""
        return not self._probe.answers()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # a process edge: the supervisor hears of it
            _log.exception("The driver dies.")
            self._error = error

    @abstractmethod
    def _work(self) -> None:
        """Do it all; what is raised here ends this driver, and the supervisor starts another one."""
