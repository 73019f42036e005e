"""Mutated specifications: none makes the service fail; `make fuzz` sends more of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.fuzz_specifications import ENDPOINT, count, documents, valid_specifications

FAMILY = Path(__file__).parents[3] / "service" / "demo" / "tiny_family"


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client(models=(FAMILY,), sets=(FAMILY,), endpoints=(ENDPOINT,))


@pytest.mark.parametrize("values", valid_specifications())
def test_what_is_mutated_is_valid(client: TestClient, study_name: str, values: dict[str, Any]) -> None:
    answer = client.post("/v1/searches", json={"name": study_name, **values})
    assert answer.status_code == 201, answer.text


def test_no_document_makes_the_service_fail(client: TestClient) -> None:
    statuses, failed = count(client, documents(300, seed=20))
    assert failed == []
    # Some mutations are harmless, and most are not: both ways are gone.
    assert statuses[201] > 10
    assert statuses[422] > 100
    assert set(statuses) <= {201, 403, 409, 413, 422}


def test_documents_are_the_same_for_the_same_seed() -> None:
    assert list(documents(20, seed=1)) == list(islice(documents(30, seed=1), 20))
    assert list(documents(20, seed=1)) != list(documents(20, seed=2))
