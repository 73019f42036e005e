"""Where a model comes from, as a specification says it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import SpecificationError
from workers.inference_engines import ModelSource

ENDPOINT = {"endpoint": "http://localhost:8000/v1", "model": "some-model"}


def test_a_text_is_a_folder() -> None:
    assert ModelSource.of("models/judge", "judge") == ModelSource("models/judge")


def test_a_mapping_is_an_endpoint() -> None:
    source = ModelSource.of({**ENDPOINT, "n_parallel": 9, "timeout_s": 3, "api_key_env": "KEY"}, "judge")
    assert source == ModelSource("some-model", ENDPOINT["endpoint"], api_key_env="KEY", n_parallel=9, timeout_s=3.0)


@pytest.mark.parametrize("given", ["models/judge", ENDPOINT])
def test_it_is_the_same_after_json(given: Any) -> None:
    source = ModelSource.of(given, "judge")
    assert ModelSource.of(json.loads(json.dumps(asdict(source))), "judge") == source
    assert ModelSource.of(source, "judge") is source


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("", "options.judge"),
        (None, "options.judge"),
        (3, "options.judge"),
        ([], "options.judge"),
        ({"endpoint": "http://localhost/v1"}, "options.judge.model"),
        ({**ENDPOINT, "api_key": "sk-told"}, "options.judge.api_key"),
        ({**ENDPOINT, "n_parallel": "many"}, "options.judge.n_parallel"),
        ({**ENDPOINT, "timeout_s": None}, "options.judge.timeout_s"),
    ],
)
def test_what_is_neither_is_refused_with_its_key(given: Any, place: str) -> None:
    with pytest.raises(SpecificationError, match=f"`options.judge` must be the folder .*, but `{place}`: ") as caught:
        ModelSource.of(given, "options.judge")
    assert "sk-told" not in str(caught.value)


def test_a_folder_is_seen_from_another_and_an_endpoint_is_not(tmp_path: Path) -> None:
    assert ModelSource("judge").seen_from(tmp_path).model == str(tmp_path / "judge")
    assert ModelSource("/models/judge").seen_from(tmp_path).model == "/models/judge"
    endpoint = ModelSource.of(ENDPOINT, "judge")
    assert endpoint.seen_from(tmp_path) == endpoint


def test_it_says_where_it_is() -> None:
    assert str(ModelSource("models/judge")) == "models/judge"
    assert str(ModelSource.of(ENDPOINT, "judge")) == "some-model at http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("n_parallel", 0, "at least 1"), ("max_retries", -1, "at least 0"), ("timeout_s", 0, "above 0")],
)
def test_numbers_that_no_request_could_have_are_refused(name: str, value: int, least: str) -> None:
    with pytest.raises(SpecificationError, match=f"`judge`: `{name}` must be {least}, but got {value}"):
        ModelSource.of({**ENDPOINT, name: value}, "judge")
