"""The calls of a remote service, with the types of its API."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from httpx2 import ServerSentEvent

from search_spaces.errors import MissingError, ServiceError
from service.api.schemas import (
    Export,
    ExportRequested,
    Front,
    SearchDetail,
    SearchList,
    Trial,
    TrialDetail,
    TrialsPage,
)
from service.client.connection import ServiceConnection
from service.client.problem_errors import UnreachableError
from service.client.server_address import ServerAddress

_Result = TypeVar("_Result")

# As the names of specifications; anything else would be another path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_YAML = "application/yaml"
# The most that the service gives at once.
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a service that is away is asked again, and how long to wait in between.

    The defaults are enough for a service to be started again: about a minute.

    Args:
        n_attempts: in a row; whatever is heard from the service starts the count again.
        first_wait_s: before the second attempt; it doubles each time.
        longest_wait_s: between two.
        poll_s: between two looks at something under way.
    """

    n_attempts: int = 9
    first_wait_s: float = 0.5
    longest_wait_s: float = 10.0
    poll_s: float = 0.5

    def wait_s(self, n_failed: int) -> float:
        """How long to wait after so many failures in a row."""
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** (n_failed - 1))


class RemoteService:
    """A service somewhere else; a context manager.

    Every call raises UserErrors as the service tells of them, and ServiceError where it does not answer as it should.

    Args:
        address: where it is.
        patience: with a service that is away while something is followed.
    """

    def __init__(self, address: ServerAddress, patience: Patience | None = None) -> None:
        self.address = address
        self._connection = ServiceConnection(address)
        self._patience = patience or Patience()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    # ---- searches ----

    def launch(self, specification: str) -> SearchDetail:
        """Queue a new search, of a specification's text in YAML or JSON.

        Raises:
            StateError: there is one of that name.
        """
        return self._connection.post(SearchDetail, "searches", specification, _YAML)

    def searches(self) -> SearchList:
        """All searches, the newest first."""
        return self._connection.get(SearchList, "searches")

    def search(self, name: str) -> SearchDetail:
        """One search.

        Raises:
            MissingError: there is none of that name.
        """
        return self._connection.get(SearchDetail, _path(name))

    def stop(self, name: str) -> SearchDetail:
        """Ask for no further candidate.

        Raises:
            StateError: it has ended, or is a command's.
        """
        return self._connection.post(SearchDetail, f"{_path(name)}/stop")

    def resume(self, name: str, specification: str = "") -> SearchDetail:
        """Queue a search again that has ended, with another specification if one is given.

        Raises:
            StateError: it has not ended.
        """
        return self._connection.post(SearchDetail, f"{_path(name)}/resume", specification, _YAML)

    def events(self, name: str) -> Iterator[ServerSentEvent]:
        """A search as it happens, for ever; see docs/service.md. A broken stream is taken up where it broke off.

        Raises:
            ServiceError: the service stays away.
        """
        last_id, n_failed = "", 0
        while True:
            lost: UnreachableError | None = None
            n_failed += 1
            try:
                with self._connection.events(f"{_path(name)}/events", last_id) as source:
                    for event in source:
                        last_id, n_failed = event.id or last_id, 0
                        yield event
            except UnreachableError as error:
                lost = error
            self._wait_or_give_up(n_failed, lost)

    # ---- results ----

    def trials(self, name: str) -> Iterator[Trial]:
        """All finished trials, by number, page by page."""
        offset: int | None = 0
        seen = -1
        while offset is not None:
            page = self._connection.get(TrialsPage, f"{_path(name)}/trials", offset=offset, limit=_PAGE)
            for trial in page.trials:
                # One with a lower number may have ended between two pages, and then those after it move on.
                if trial.number > seen:
                    seen = trial.number
                    yield trial
            offset = page.next_offset

    def trial(self, name: str, number: int) -> TrialDetail:
        """One finished trial.

        Raises:
            MissingError: there is none of that number.
        """
        return self._connection.get(TrialDetail, f"{_path(name)}/trials/{number}")

    def front(self, name: str) -> Front:
        """The front on the search's examples, with scores on held-out ones."""
        return self._connection.get(Front, f"{_path(name)}/front")

    # ---- exports ----

    def request_export(self, name: str, request: ExportRequested) -> Export:
        """Ask for a merge as a folder on the service's side.

        Raises:
            SelectionError: no trial is selected by that.
            StateError: the folder exists.
        """
        return self._connection.post(Export, f"{_path(name)}/exports", request.model_dump_json())

    def export(self, export_id: uuid.UUID) -> Export:
        """How far an export is."""
        return self._connection.get(Export, f"exports/{export_id}")

    def exports(self, export_id: uuid.UUID) -> Iterator[Export]:
        """An export as it goes on, to its end.

        Raises:
            ServiceError: the service stays away.
        """
        while True:
            export = self._patiently(lambda: self.export(export_id))
            yield export
            if not export.state.is_active:
                return
            time.sleep(self._patience.poll_s)

    # ---- a service that is away ----

    def _patiently(self, call: Callable[[], _Result]) -> _Result:
        n_failed = 0
        while True:
            try:
                return call()
            except UnreachableError as error:
                n_failed += 1
                self._wait_or_give_up(n_failed, error)

    def _wait_or_give_up(self, n_failed: int, lost: UnreachableError | None) -> None:
        if n_failed >= self._patience.n_attempts:
            raise ServiceError(
                f"The service at {self.address.url} must stay reachable, but was lost"
                f"{'' if lost is None else f': {lost}'} What it was asked for goes on there."
            ) from lost
        time.sleep(self._patience.wait_s(n_failed))


def _path(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise MissingError(f"A search must exist, but there is none named '{name}'.")
    return f"searches/{name}"
