"""No path of a client leads out of the roots: over HTTP each attempt is the client's mistake, told alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.traversals import TRAVERSALS, filled, lay_traps

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"


@pytest.fixture
def client(make_client: Callable[..., TestClient], tmp_path: Path) -> TestClient:
    lay_traps(tmp_path)
    return make_client(models=(tmp_path / "models",), sets=(tmp_path / "sets",))


@pytest.mark.parametrize("path", TRAVERSALS.values(), ids=TRAVERSALS.keys())
@pytest.mark.parametrize(
    "place", ["models.base", "objectives.alignment.set", "objectives.alignment.options.judge", "search.start.0"]
)
def test_traversal(client: TestClient, tmp_path: Path, place: str, path: str) -> None:
    # All but the attempt is in order.
    specification: dict[str, Any] = {
        "name": "traversal",
        "models": {"base": str(FAMILY / "base"), "experts": {"expert": str(FAMILY / "expert")}},
        "objectives": {
            "alignment": {
                "set": str(FAMILY / "safety.jsonl"),
                "scorer": "llm_judge",
                "options": {"judge": str(FAMILY / "guard")},
            }
        },
        "search": {"start": {"0": ""}},
    }
    section = specification
    *parents, key = place.split(".")
    for parent in parents:
        section = section[parent]
    section[key] = filled(path, tmp_path)
    specification["search"]["start"] = [given for given in specification["search"]["start"].values() if given]
    # By `json`, which escapes half a surrogate pair.
    answer = client.post(
        "/v1/searches", content=json.dumps(specification), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (403, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["key"] for error in answer.json()["errors"]] in ([place], [""])  # NUL is in no place


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../settings.py",
        "/assets/..%2f..%2fsettings.py",
        "/assets/%2e%2e/%2e%2e/settings.py",
        "/assets/__init__.py",
        "/assets//etc/passwd",
        "/assets/%00",
        "/assets/" + "x" * 5000,
        "/assets/",
        "/static/..%2f..%2f_app.py",
        "/static/%2e%2e/_app.py",
    ],
)
def test_files_of_the_page(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (403, 404)
