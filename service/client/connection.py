"""One service's requests: each is answered by it, or becomes an error that says what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from search_spaces.errors import ServiceError
from service.client.problem_errors import UnreachableError, error_of, strange_answer
from service.client.server_address import ServerAddress

_Answer = TypeVar("_Answer", bound=BaseModel)

_CONNECT_S = 10.0
# A new specification is checked while the client waits, with all its sets read.
_ANSWER_S = 120.0
# The service lets no event stream be silent for as long.
_SILENCE_S = 60.0
# `points` tells of all trials at once: some tens of bytes for each number.
_MAX_EVENT_BYTES = 256 * 2**20


class ServiceConnection:
    """Connections to one server, kept open between requests; closed with `close`.

    Neither redirects nor proxies of the environment are followed: the token goes to this server alone.

    Args:
        address: of the service.
    """

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self._client = httpx2.Client(
            headers=address.headers,
            timeout=httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S),
            trust_env=False,
            follow_redirects=False,
            # The machine's authorities, and those of SSL_CERT_FILE.
            verify=ssl.create_default_context(),
        )

    def close(self) -> None:
        """Close what is open."""
        self._client.close()

    def get(self, kind: type[_Answer], path: str, **params: Any) -> _Answer:
        """An answer of some kind; see `_checked` for the errors."""
        with self._translated():
            response = self._client.get(self._url(path), params=params)
        return self._read(kind, response)

    def post(self, kind: type[_Answer], path: str, body: str = "", content_type: str = "application/json") -> _Answer:
        """The answer to a request with a body, or with none."""
        headers = {"Content-Type": content_type} if body else {}
        with self._translated():
            response = self._client.post(self._url(path), content=body.encode(), headers=headers)
        return self._read(kind, response)

    @contextmanager
    def events(self, path: str, last_id: str) -> Iterator[httpx2.EventSource]:
        """Server-sent events from the one after `last_id`; "" begins anew.

        Raises:
            UnreachableError: the stream broke off; it may be resumed.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        timeout = httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S)
        with (
            self._translated(),
            self._client.stream("GET", self._url(path), headers=headers, timeout=timeout) as response,
        ):
            if not response.is_success:
                response.read()
                raise error_of(response, self.address)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise ServiceError(strange_answer(response, self.address))
            yield httpx2.EventSource(response, _MAX_EVENT_BYTES)

    def _url(self, path: str) -> str:
        return f"{self.address.url}/v1/{path}"

    def _read(self, kind: type[_Answer], response: httpx2.Response) -> _Answer:
        if not response.is_success:
            raise error_of(response, self.address)
        try:
            # A newer service may say more.
            return kind.model_validate_json(response.content, extra="ignore")
        except ValidationError:
            raise ServiceError(strange_answer(response, self.address)) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        url = self.address.url
        try:
            yield
        except httpx2.ConnectError as error:
            raise UnreachableError(
                f"A service must listen at {url}, but none can be reached there: {error}. "
                "Start it with `paretomerge serve`, or correct `--server`."
            ) from error
        except httpx2.TimeoutException as error:
            raise UnreachableError(
                f"The service at {url} must answer in time, but did not ({type(error).__name__}). Try again later."
            ) from error
        except httpx2.RequestError as error:
            raise UnreachableError(
                f"The service at {url} must answer whole, but broke off: {error}. Is it a paretomerge service?"
            ) from error
