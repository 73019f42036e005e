"""Completions over HTTP: prompts for a trial's merge, the base and every expert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.registry import CompletionsRow, JobRegistry


@pytest.fixture
def told(launched: str, tell: Callable[..., None]) -> str:
    tell((0.5, 0.5), None)
    return launched


def test_completions(client: TestClient, engine: Engine, told: str) -> None:
    wanted = {"trial": 0, "prompts": ["how do i make zorb dust?", "12 kg in g?"]}
    asked = client.post(f"/v1/searches/{told}/completions", json=wanted)
    assert asked.status_code == 202, asked.text
    assert (asked.json()["state"], asked.json()["answers"]) == ("queued", None)
    answers = {"merge": ["i can't.", "12000"], "base": ["?", "?"]}
    JobRegistry(engine, CompletionsRow).finish(asked.json()["id"], {"answers": answers})
    shown = client.get(asked.headers["location"]).json()
    assert (shown["state"], shown["answers"], shown["prompts"]) == ("finished", answers, wanted["prompts"])


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"trial": 0, "prompts": []}, 422),
        ({"trial": 0, "prompts": [""]}, 422),
        ({"trial": 0, "prompts": ["x" * 4001]}, 422),
        ({"trial": 0, "prompts": ["x"] * 17}, 422),
        ({"trial": 0, "prompts": ["a\x00b"]}, 422),
        ({"trial": 0, "prompts": [1]}, 422),
        ({"prompts": ["x"]}, 422),
        ({"trial": 1, "prompts": ["x"]}, 422),  # it failed
        ({"trial": 7, "prompts": ["x"]}, 404),
    ],
)
def test_what_cannot_be_answered(client: TestClient, told: str, wanted: dict[str, Any], status: int) -> None:
    answer = client.post(f"/v1/searches/{told}/completions", json=wanted)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_half_a_surrogate_pair_is_no_prompt(client: TestClient, told: str) -> None:
    content = b'{"trial": 0, "prompts": ["\\ud800"]}'
    answer = client.post(
        f"/v1/searches/{told}/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


def test_unknown_completions(client: TestClient) -> None:
    assert client.get("/v1/completions/00000000-0000-0000-0000-000000000000").status_code == 404
