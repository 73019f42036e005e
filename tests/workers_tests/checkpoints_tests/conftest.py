"""Checkpoints made from the tiny family: sharded, changed, broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

ChangeModel = Callable[..., Path]


@pytest.fixture
def changed(family: Path, tmp_path: Path) -> ChangeModel:
    """A copy of the family's expert with changed tensors, configuration or tokenizer."""

    def change(
        tensors: Callable[[dict[str, Tensor]], None] = lambda _: None,
        config: dict[str, Any] | None = None,
        tokenizer: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(family / "expert", folder)
        held = load_file(folder / "model.safetensors")
        tensors(held)
        save_file(held, folder / "model.safetensors")
        for name, edit in (("config.json", lambda values: values.update(config or {})), ("tokenizer.json", tokenizer)):
            values = json.loads((folder / name).read_text())
            edit(values)
            (folder / name).write_text(json.dumps(values))
        return folder

    return change


@pytest.fixture(scope="session")
def sharded(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The family's base in shards with their index, as transformers writes them."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("sharded")
    model: Any = AutoModelForCausalLM.from_pretrained(family / "base", dtype="auto", local_files_only=True)
    model.save_pretrained(folder, max_shard_size="100KB")
    return folder


@pytest.fixture(scope="session")
def load_saved() -> Callable[[Path], tuple[Any, Any]]:
    """Loads a folder as transformers does: the model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def load(folder: Path) -> tuple[Any, Any]:
        options: Any = {"local_files_only": True}
        return AutoModelForCausalLM.from_pretrained(folder, **options), AutoTokenizer.from_pretrained(folder, **options)

    return load
