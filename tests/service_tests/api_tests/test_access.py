"""Who may call, from where, and how much may be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from service.settings import MAX_BODY_BYTES

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OPEN = ("/healthz", "/readyz", "/", "/assets/plotly.min.js")
HERE = "http://127.0.0.1:8008"

MakeClient = Callable[..., TestClient]


@pytest.fixture
def guarded(make_client: MakeClient) -> TestClient:
    """A client of a service with a token, which shows none."""
    return make_client(token=TOKEN)


def calls_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every call that OpenAPI lists."""
    return [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]


# ---- the token ----


def test_every_call_but_health_needs_the_token(guarded: TestClient, app: FastAPI) -> None:
    without = {
        (method, path)
        for method, path in calls_of(app)
        if guarded.request(method, path.replace("{name}", "x").replace("{number}", "0")).status_code != 401
    }
    assert without == {("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/v1/session")}


def test_openapi_lists_every_route(app: FastAPI) -> None:
    listed = {path for _, path in calls_of(app)}
    routes = {route.path for route in app.state.routes if isinstance(route, APIRoute) and route.include_in_schema}
    assert routes == listed


@pytest.mark.parametrize(
    "path", ["/dashboard", "/api/studies", "/openapi.json", "/metrics", "/nothing", "/favicon.ico"]
)
def test_what_is_beside_the_api_needs_it_too(guarded: TestClient, path: str) -> None:
    answer = guarded.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="paretomerge"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", OPEN)
def test_what_needs_no_token(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code in (200, 503)


@pytest.mark.parametrize("path", ["//v1/searches", "/assets/../v1/searches", "/healthz/../v1/searches", "/v1/session/"])
def test_detours_do_not_lead_past_the_token(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code in (401, 404)


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic eDp5", "Bearer", TOKEN])
def test_a_wrong_token(guarded: TestClient, header: str) -> None:
    assert guarded.get("/v1/searches", headers={"Authorization": header}).status_code == 401


def test_the_token(guarded: TestClient) -> None:
    assert guarded.get("/v1/searches", headers=BEARER).status_code == 200


def test_without_a_token_none_is_asked_for(client: TestClient) -> None:
    assert client.get("/v1/searches").status_code == 200
    opened = client.post("/v1/session", json={"token": "whatever"})
    assert (opened.status_code, "set-cookie" in opened.headers) == (204, False)


# ---- the cookie ----


def test_the_token_is_shown_once_for_a_cookie(guarded: TestClient) -> None:
    opened = guarded.post("/v1/session", json={"token": TOKEN})
    assert opened.status_code == 204
    cookie = opened.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert guarded.get("/v1/searches").status_code == 200
    assert guarded.delete("/v1/session").status_code == 204
    assert guarded.get("/v1/searches").status_code == 401


def test_a_cookie_of_an_encrypted_connection_stays_on_such(make_client: MakeClient) -> None:
    client = make_client(token=TOKEN, host="0.0.0.0")
    client.base_url = "https://merges.example"
    assert "Secure" in client.post("/v1/session", json={"token": TOKEN}).headers["set-cookie"]


@pytest.mark.parametrize(("body", "status"), [({"token": "wrong"}, 401), ({"token": ""}, 401), ({}, 422), ([], 422)])
def test_no_cookie_for_another_token(guarded: TestClient, body: Any, status: int) -> None:
    answer = guarded.post("/v1/session", json=body)
    assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)


@pytest.mark.parametrize("cookie", ["", "x", "9999999999.00", '"'])
def test_a_forged_cookie(guarded: TestClient, cookie: str) -> None:
    assert guarded.get("/v1/searches", headers={"Cookie": f"paretomerge_session={cookie}"}).status_code == 401


# ---- other sites ----


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": HERE}, 204),
        ({}, 204),
        ({"Sec-Fetch-Site": "same-origin", "Origin": HERE}, 204),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy.example"}, 204),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[x"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_only_pages_of_this_service_change_anything(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post("/v1/session", json={"token": "x"}, headers=headers).status_code == status


def test_other_pages_may_not_change_anything_with_a_token_either(guarded: TestClient) -> None:
    answer = guarded.post("/v1/searches", json={}, headers=BEARER | {"Origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:paretomerge:problem:origin")


@pytest.mark.parametrize("host", ["localhost", "localhost:8008", "127.0.0.1:8008", "[::1]:8008", "127.1.2.3"])
def test_this_machine_by_its_names(client: TestClient, host: str) -> None:
    assert client.get("/v1/searches", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8008", "localhost.evil.example", "10.0.0.1", "", "[", "a@localhost:x"]
)
def test_a_name_that_was_made_to_point_here(client: TestClient, host: str) -> None:
    """A page elsewhere whose name leads here would be of the same origin."""
    answer = client.get("/v1/searches", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:paretomerge:problem:host")


def test_with_a_token_any_name_will_do(guarded: TestClient) -> None:
    assert guarded.get("/v1/searches", headers=BEARER | {"Host": "merges.example"}).status_code == 200


# ---- bodies ----


def test_a_large_body_is_refused_unread(client: TestClient) -> None:
    answer = client.post(
        "/v1/searches", content=b"x" * (MAX_BODY_BYTES + 1), headers={"Content-Type": "application/yaml"}
    )
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_large_body_without_a_length(client: TestClient) -> None:
    chunks = (b"#" * 1024 for _ in range(MAX_BODY_BYTES // 1024 + 1))
    answer = client.post("/v1/searches", content=chunks, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 413


def test_the_largest_body_is_read(client: TestClient) -> None:
    content = b"#" * MAX_BODY_BYTES
    answer = client.post("/v1/searches", content=content, headers={"Content-Type": "application/yaml"})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:paretomerge:problem:specification")


@pytest.mark.parametrize("length", ["-1", "x", "1" * 30])
def test_a_length_that_is_none(client: TestClient, length: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": length}
    assert client.post("/v1/searches", content=b"{}", headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/searches", {"Content-Type": "text/plain"}),
        ("/v1/searches", {}),
        ("/v1/searches", {"Content-Type": "multipart/form-data; boundary=x"}),
        ("/v1/searches", {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
        ("/v1/searches/x/exports", {"Content-Type": "application/yaml"}),
        ("/v1/session", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("/v1/searches/x/stop", {"Content-Type": "text/plain"}),
    ],
)
def test_bodies_of_other_kinds(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = client.post(path, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:paretomerge:problem:media-type")


# ---- what browsers are told ----


@pytest.mark.parametrize("path", ["/", "/v1/searches", "/nothing", "/assets/plotly.min.js"])
def test_browsers_are_told_what_to_allow(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "frame-ancestors 'none'", "style-src 'self' 'unsafe-inline'"} <= set(policy)
    assert not any("unsafe" in rule for rule in policy if rule.startswith(("default-src", "script-src")))
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_answers_of_the_api_are_kept_nowhere(client: TestClient) -> None:
    assert client.get("/v1/searches").headers["cache-control"] == "no-store"
