"""The page's files: whole, packed, and asked for again without being sent again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs
from starlette.testclient import TestClient

PAGE = Path(__file__).parents[3] / "service" / "page"
PLOTLY = "/assets/plotly.min.js"


def test_the_page(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (PAGE / "index.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    named = re.findall(r'(?:src|href)="([^"#]+)"', client.get("/").text)
    assert named
    for path in named:
        assert path.startswith("/"), path
        assert client.get(path).status_code == 200, path


def test_the_page_runs_no_script_within(client: TestClient) -> None:
    """The policy would refuse it."""
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=", client.get("/").text)


@pytest.mark.parametrize(
    ("suffix", "media_type"), [(".js", "text/javascript"), (".css", "text/css"), (".svg", "image/svg+xml")]
)
def test_types(client: TestClient, suffix: str, media_type: str) -> None:
    names = [path.name for path in PAGE.glob(f"*{suffix}")]
    assert names
    for name in names:
        assert client.get(f"/assets/{name}").headers["content-type"].partition(";")[0] == media_type


def test_plotly_comes_from_its_wheel(client: TestClient) -> None:
    assert client.get(PLOTLY).text == get_plotlyjs()


def test_packed_is_the_same(client: TestClient) -> None:
    packed = client.get(PLOTLY, headers={"Accept-Encoding": "gzip"})
    plain = client.get(PLOTLY, headers={"Accept-Encoding": "identity"})
    assert (packed.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert packed.content == plain.content  # the client unpacks
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert packed.headers["vary"] == "Accept-Encoding"


def test_what_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/")
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.get("/", headers={"If-None-Match": '"another"'}).status_code == 200
    assert first.headers["cache-control"] == "no-cache"


def test_long_answers_are_packed(client: TestClient) -> None:
    for encoding, is_packed in (("gzip", True), ("identity", False)):
        answer = client.get("/openapi.json", headers={"Accept-Encoding": encoding})
        assert (answer.headers.get("content-encoding") == "gzip") == is_packed


@pytest.mark.parametrize("path", ["/", "/assets/page.js"])
def test_the_page_is_only_read(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"
