"""The whole OpenAPI by schemathesis: no failure, nothing undocumented, what is wrong refused, the token asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.app import create_app
from service.settings import ServiceSettings

COMMAND = Path(sys.executable).parent / "schemathesis"
TOKEN = "a-token-of-some-length"
# It would never end, and has tests of its own.
ENDLESS = "/v1/searches/{name}/events"
# Ids that exist, or all calls would end in 404. What no schema can say is refused by 422: whether models are there,
# and what an objective is called.
CONFIGURATION = """
[parameters]
"path.name" = "{name}"
"path.number" = 0

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422"]

[[operations]]
include-path = "/v1/exports/{{id}}"
parameters = {{ "path.id" = "{export}" }}

[[operations]]
include-path = "/v1/completions/{{id}}"
parameters = {{ "path.id" = "{completions}" }}
"""


@pytest.fixture
def configuration(client: TestClient, launched: str, tell: Callable[..., None], tmp_path: Path) -> Path:
    """Of a service that has a search with trials, an export and completions."""
    tell((0.1, 0.9), (0.9, 0.1), None)
    exported = client.post(f"/v1/searches/{launched}/exports", json={})
    completed = client.post(f"/v1/searches/{launched}/completions", json={"trial": 0, "prompts": ["hello"]})
    ids = {"export": exported.json()["id"], "completions": completed.json()["id"]}
    path = tmp_path / "schemathesis.toml"
    path.write_text(CONFIGURATION.format(name=launched, **ids))
    return path


def test_openapi(
    settings: ServiceSettings,
    engine: Engine,
    serve: Callable[..., str],
    pulse: Callable[[timedelta], None],
    configuration: Path,
) -> None:
    pulse(-timedelta(days=1))  # for as long as this takes
    url = serve(create_app(replace(settings, token=TOKEN), engine))
    command: list[Any] = [COMMAND, "--config-file", configuration, "run", f"{url}/openapi.json"]
    command += ["--checks", "all", "--header", f"Authorization: Bearer {TOKEN}", "--exclude-path", ENDLESS]
    command += [
        "--max-examples",
        "8",
        "--max-time",
        "30",
        "--seed",
        "0",
        "--generation-database",
        "none",
        "--suppress-health-check",
        "all",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=configuration.parent)
    assert done.returncode == 0, done.stdout


def test_everything_is_documented(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method} {path}"
            assert operation["operationId"], place
            assert operation["summary"], place
            assert operation["description"], place
            assert operation["tags"], place
            for status, response in operation["responses"].items():
                is_problem = int(status) >= 400 and (path, status) != ("/readyz", "503")
                assert response["description"], f"{place} {status}"
                assert not is_problem or list(response["content"]) == ["application/problem+json"], f"{place} {status}"


def test_the_example_of_a_specification_is_one(client: TestClient) -> None:
    """Its models are nobody's; but nothing else is wrong with it."""
    document = client.get("/openapi.json").json()
    content = document["paths"]["/v1/searches"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/yaml"}
    example = content["application/json"]["examples"]["demo"]["value"]
    answer = client.post("/v1/searches", json=example)
    assert [error["key"] for error in answer.json()["errors"]] == ["models.base"]
    assert set(example) <= set(document["components"]["schemas"]["Specification"]["properties"])
