"""The token and the cookie that stands for it."""

from __future__ import annotations

import pytest

from service.access.token import COOKIE_LIFETIME_S, TokenKeeper

KEEPER = TokenKeeper("a-token-of-some-length")


@pytest.mark.parametrize("header", ["Bearer a-token-of-some-length", "bearer  a-token-of-some-length "])
def test_the_token_is_accepted(header: str) -> None:
    assert KEEPER.accepts_header(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a-token-of-some-lengt",
        "Bearer a-token-of-some-length1",
        "Bearer A-TOKEN-OF-SOME-LENGTH",
        "Basic a-token-of-some-length",
        "a-token-of-some-length",
        "Bearer ä",
    ],
)
def test_anything_else_is_not(header: str) -> None:
    assert not KEEPER.accepts_header(header)


def test_a_cookie_stands_for_the_token_for_a_while() -> None:
    cookie = KEEPER.make_cookie(now=1000.0)
    assert KEEPER.token not in cookie
    assert KEEPER.accepts_cookie(cookie, now=1000.0 + COOKIE_LIFETIME_S - 1)
    assert not KEEPER.accepts_cookie(cookie, now=1000.0 + COOKIE_LIFETIME_S)


def test_a_cookie_goes_with_its_token() -> None:
    assert not TokenKeeper("another").accepts_cookie(KEEPER.make_cookie())


@pytest.mark.parametrize(
    "cookie", ["", ".", "9999999999.", "9999999999.0", "x.y", "9" * 30 + ".0", "²." + "0" * 64, "1.ä"]
)
def test_forged_cookies(cookie: str) -> None:
    assert not KEEPER.accepts_cookie(cookie, now=0.0)


def test_a_cookie_cannot_be_prolonged() -> None:
    until, signature = KEEPER.make_cookie(now=0.0).split(".")
    assert not KEEPER.accepts_cookie(f"{int(until) + 1}.{signature}", now=0.0)


def test_the_token_is_in_no_repr() -> None:
    assert KEEPER.token not in repr(KEEPER)
