"""The token: shown with every call, or once for a cookie."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field

COOKIE = "paretomerge_session"
# A working month; the cookie goes with a new token, too.
COOKIE_LIFETIME_S = 30 * 24 * 3600

_PURPOSE = b"paretomerge session until "


@dataclass(frozen=True, slots=True)
class TokenKeeper:
    """Compares in constant time what is shown with the token.

    Args:
        token: "" asks for none.
    """

    token: str = field(repr=False)

    @property
    def is_asked_for(self) -> bool:
        """Whether there is a token."""
        return bool(self.token)

    def accepts_token(self, shown: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(_digest(shown), _digest(self.token))

    def accepts_header(self, authorization: str) -> bool:
        """Whether an `Authorization` header shows the token."""
        scheme, _, shown = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.accepts_token(shown.strip())

    def make_cookie(self, now: float | None = None) -> str:
        """A cookie's value that stands for the token for some time, and from which it cannot be derived."""
        until = str(int((time.time() if now is None else now) + COOKIE_LIFETIME_S))
        return f"{until}.{self._sign(until)}"

    def accepts_cookie(self, value: str, now: float | None = None) -> bool:
        """Whether a cookie was made from this token, and is still good."""
        until, _, signature = value.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) <= 20):
            return False
        is_ours = hmac.compare_digest(signature.encode(), self._sign(until).encode())
        return is_ours and int(until) > (time.time() if now is None else now)

    def _sign(self, until: str) -> str:
        return hmac.new(self.token.encode(), _PURPOSE + until.encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    # Of one length: not even that of the token is told by the time that a comparison takes.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
