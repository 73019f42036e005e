"""The drivers that live, and what the others died of."""

from __future__ import annotations

import logging
from collections.abc import Collection

from service.supervision.cluster import Cluster, RunningDriver
from service.supervision.driver_actor import DriverActor, DriverSetup

_log = logging.getLogger(__name__)


class Drivers:
    """Every driver has a name of its own, under which the next supervisor finds it.

    Args:
        cluster: where they run.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._living: dict[str, RunningDriver] = {}
        self._deaths: dict[str, str] = {}

    def launch(self, kind: type[DriverActor], setup: DriverSetup) -> None:
        """Start a driver, which begins to work by itself."""
        self._living[setup.driver] = self._cluster.start(setup.driver, kind, setup)

    def lives(self, name: str) -> bool:
        """Whether it lives; one that an earlier supervisor started is adopted."""
        if name and name not in self._living and name not in self._deaths:
            found = self._cluster.find(name)
            if found is not None:
                self._living[name] = found
        return name in self._living

    def has_died(self, name: str) -> bool:
        """Whether it died before the eyes of this supervisor; others were lost with a cluster."""
        return name in self._deaths

    def cause_of_death(self, name: str) -> str:
        """Why it lives no more, as part of a sentence."""
        return self._deaths.get(name) or "it was lost with its cluster"

    def note_deaths(self) -> None:
        """Let go of those that have ended."""
        for name, driver in list(self._living.items()):
            if driver.has_ended():
                self._deaths[name] = driver.cause_of_death()
                if self._deaths[name]:
                    _log.warning("The driver %s has died: %s", name, self._deaths[name])
                driver.bury()
                del self._living[name]

    def bury_strays(self, wanted: Collection[str]) -> None:
        """End those of what has ended while nobody watched."""
        for name in self._cluster.driver_names():
            stray = None if name in wanted else self._cluster.find(name)
            if stray is not None:
                stray.bury()
