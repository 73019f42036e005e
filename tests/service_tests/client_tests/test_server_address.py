"""What may stand for a server, and that nothing secret is told."""

from __future__ import annotations

import pytest

from search_spaces.errors import SpecificationError
from service.client.server_address import ServerAddress


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8008", "http://127.0.0.1:8008"),
        ("https://merges.example/", "https://merges.example"),
        ("http://[::1]:8008/", "http://[::1]:8008"),
        ("https://cluster.example/paretomerge/", "https://cluster.example/paretomerge"),
    ],
)
def test_urls(given: str, url: str) -> None:
    assert ServerAddress(given).url == url


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("127.0.0.1:8008", "but got '127.0.0.1:8008'"),
        ("localhost:8008", "but got 'localhost:8008'"),
        ("", "but got ''"),
        ("ftp://host", "but got 'ftp://host'"),
        ("http://", "but got 'http://'"),
        ("http://host:many", "is the port a number"),
        ("http://host/?x=1", "without `\\?` or `#`"),
        ("http://host/#there", "without `\\?` or `#`"),
    ],
)
def test_what_is_no_url(given: str, hint: str) -> None:
    with pytest.raises(SpecificationError, match=f"PARETOMERGE_SERVER.*such as http://127.0.0.1:8008.*{hint}"):
        ServerAddress(given)


@pytest.mark.parametrize("given", ["http://me:secret@host", "https://secret@host/", "ftp://me:secret@host"])
def test_a_password_is_refused_and_not_shown(given: str) -> None:
    with pytest.raises(SpecificationError, match="`--server`") as raised:
        ServerAddress(given)
    assert "secret" not in str(raised.value)


def test_the_token_stands_in_the_header_and_nowhere_else() -> None:
    address = ServerAddress("http://host", " secret\n")
    assert address.headers == {"Authorization": "Bearer secret"}
    assert "secret" not in f"{address} {address!r}"
    assert ServerAddress("http://host").headers == {}


@pytest.mark.parametrize("token", ["sec\nret", "sec ret", "sécret", "sec\x00ret"])
def test_a_token_that_no_header_can_hold(token: str) -> None:
    with pytest.raises(SpecificationError, match="PARETOMERGE_TOKEN must be of ASCII") as raised:
        ServerAddress("http://host", token)
    assert "ret" not in str(raised.value)
