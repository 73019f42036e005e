"""How models are named in a specification: folders, hub ids, adapters, and all of them together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.specification import parse_specification, restore_specification


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("base", "org/there", "lora", "c+d@e"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def named(home: Path, base: object, expert: object) -> tuple[str, str]:
    """The two in mergekit's notation, with `~` for the file's folder."""
    values = {"name": "s", "models": {"base": base, "experts": {"e": expert}}}
    values |= {"objectives": {"a": {"set": "s.jsonl", "scorer": "refusal"}}}
    specification = parse_specification(json.dumps(values), home)
    assert restore_specification(specification.model_dump(mode="json")) == specification
    found = specification.models.notations.values()
    return tuple(text.replace(str(home), "~") for text in found)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("written", "notation"),
    [
        ("base", "~/base"),
        ("./new", "~/new"),
        ("org/there", "~/org/there"),
        ("org/name", "org/name"),
        ("./org/name", "~/org/name"),
        ("org/name@v1", "org/name@v1"),
        ("org/there@v1", "org/there@v1"),
        ("org/name+lora", "org/name+~/lora"),
        ("org/name+org/lora@v2", "org/name+org/lora@v2"),
        ("c+d@e", "~/c+d@e"),
        ("/models/x", "/models/x"),
        ({"model": "org/name"}, "org/name"),
        ({"model": "org/name", "revision": "abc"}, "org/name@abc"),
        ({"model": "base", "adapter": "lora"}, "~/base+~/lora"),
        ({"model": "org/name", "adapter": "org/lora", "adapter_revision": "v2"}, "org/name+org/lora@v2"),
    ],
)
def test_a_model_is_a_folder_where_there_is_one_and_else_may_be_a_hub_id(
    home: Path, written: object, notation: str
) -> None:
    assert named(home, written, "./e")[0] == notation
    assert named(home, "base", written)[1] == notation


def test_an_adapter_alone_is_on_the_base(home: Path) -> None:
    assert named(home, "org/name@v1", {"adapter": "./lora"}) == ("org/name@v1", "org/name@v1+~/lora")
    assert named(home, {"model": "base"}, {"adapter": "org/lora"})[1] == "~/base+org/lora"


def test_a_home_folder_is_looked_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    assert named(home / "searches", "~/base", {"adapter": "~/lora"})[1] == f"{home}/base+{home}/lora"
