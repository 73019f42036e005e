"""Hub ids: from the cache where it has them, and one clear error where it has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.errors import CheckpointError
from tests.hub_cache import HubCache
from workers.checkpoints import read_header
from workers.checkpoints.model_files import pinned, read_model_header
from workers.checkpoints.opening import open_model


def test_a_hub_id_is_read_from_the_cache(hub_cache: HubCache, family: Path) -> None:
    commit = hub_cache.add("org/name", family / "base")
    header = read_model_header("org/name")
    assert header.folder.name == commit
    assert header.tensors == read_header(family / "base").tensors
    assert pinned("org/name", header) == f"org/name@{commit}"
    assert read_model_header(pinned("org/name", header)).folder == header.folder


def test_each_revision_has_its_own_weights(hub_cache: HubCache, family: Path) -> None:
    commits = [hub_cache.add("org/name", family / model, model) for model in ("base", "expert")]
    folders = [read_model_header(f"org/name@{revision}").folder.name for revision in ("base", "expert")]
    assert folders == commits
    assert commits[0] != commits[1]


def test_an_adapter_may_be_on_the_hub(hub_cache: HubCache, family: Path, adapter: Path) -> None:
    base, lora = hub_cache.add("org/name", family / "base"), hub_cache.add("org/lora", adapter, "v1")
    opened = open_model("org/name+org/lora@v1")
    assert pinned("org/name+org/lora@v1", opened.header) == f"org/name@{base}+org/lora@{lora}"
    assert open_model(f"{family / 'base'}+org/lora@{lora}").header.tensors == opened.header.tensors


@pytest.mark.parametrize(
    ("text", "revision"), [("org/other", "main"), ("org/name@v2", "v2"), (f"org/name@{'a' * 40}", "a" * 40)]
)
def test_what_is_not_in_the_cache_is_told(hub_cache: HubCache, family: Path, text: str, revision: str) -> None:
    hub_cache.add("org/name", family / "base")
    hub_id = text.partition("@")[0]
    with pytest.raises(
        CheckpointError,
        match=rf"'{hub_id}' at revision '{revision}' is no folder here, .*HF_HUB_OFFLINE.*`hf download {hub_id}",
    ):
        read_model_header(text)


def test_offline_asks_nobody(hub_cache: HubCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(CheckpointError, match="nobody is asked"):
        read_model_header("org/name", offline=True)


def test_a_folder_called_like_a_hub_id_is_not_looked_for(
    hub_cache: HubCache, family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(family.parent)
    with pytest.raises(CheckpointError, match="is no folder here"):
        read_model_header(f"{family.name}/base")
