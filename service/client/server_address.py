"""Where a service is, and the token to be shown there."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx2

from search_spaces.errors import SpecificationError
from service.client.environment import SERVER_VARIABLE, TOKEN_VARIABLE

_MUST_BE = f"`--server` (or {SERVER_VARIABLE}) must be a URL such as http://127.0.0.1:8008"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A service's URL, and what it must be shown.

    Args:
        url: `http` or `https`, with a path where a proxy puts the service below one.
        token: "" shows none.

    Raises:
        SpecificationError: the URL is none, or holds what belongs elsewhere; the token cannot stand in a header.
    """

    url: str
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parsed = _parsed(self.url)
        if parsed.userinfo:
            # Neither is shown: it may be a password.
            raise SpecificationError(f"{_MUST_BE}, without a user or password. A token goes into {TOKEN_VARIABLE}.")
        if parsed.query or parsed.fragment:
            raise SpecificationError(f"{_MUST_BE}, without `?` or `#`, but got '{self.url}'.")
        object.__setattr__(self, "url", self.url.rstrip("/"))
        object.__setattr__(self, "token", self.token.strip())
        if not all("!" <= character <= "~" for character in self.token):
            raise SpecificationError(f"{TOKEN_VARIABLE} must be of ASCII characters without spaces, but is not.")

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def _parsed(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise SpecificationError(f"{_MUST_BE}, but it cannot be parsed: is the port a number?") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        shown = f"'{url}'" if "@" not in url else "something else"
        raise SpecificationError(f"{_MUST_BE}, but got {shown}.")
    return parsed
