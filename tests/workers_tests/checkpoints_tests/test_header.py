"""Headers: what a folder holds, and what is refused before anything is loaded."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from search_spaces.errors import CheckpointError
from workers.checkpoints import MappedCheckpoint, read_header

ChangeModel = Callable[..., Path]

INDEX = "model.safetensors.index.json"


@pytest.fixture
def shards(sharded: Path, tmp_path: Path) -> Path:
    """Shards that a test may break."""
    return shutil.copytree(sharded, tmp_path / "shards")


class Mine:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_header_knows_sizes_and_architecture(family: Path) -> None:
    header = read_header(family / "base")
    assert header.architecture == "LlamaForCausalLM"
    assert header.n_parameters == 201_280
    assert header.size_bytes == 2 * 201_280
    assert header.files == ("model.safetensors",)
    assert header.tensors["model.embed_tokens.weight"].shape == (448, 64)


def test_shards_hold_what_a_single_file_holds(family: Path, sharded: Path) -> None:
    whole, parts = read_header(family / "base"), read_header(sharded)
    assert len(parts.files) > 1
    assert parts.tensors.keys() == whole.tensors.keys()
    assert all(parts.tensors[name].shape == tensor.shape for name, tensor in whole.tensors.items())
    assert parts.size_bytes == whole.size_bytes


def test_a_tied_head_and_integers_are_not_merged(changed: ChangeModel) -> None:
    head = {"lm_head.weight": torch.zeros(448, 64), "steps": torch.zeros(3, dtype=torch.int64)}
    header = read_header(changed(tensors=lambda held: held.update(head)))
    assert head.keys() <= header.tensors.keys()
    assert not head.keys() & set(header.merged_names)
    assert "model.embed_tokens.weight" in header.merged_names


def test_an_untied_head_is_merged(changed: ChangeModel) -> None:
    head = {"lm_head.weight": torch.zeros(448, 64)}
    folder = changed(tensors=lambda held: held.update(head), config={"tie_word_embeddings": False})
    assert "lm_head.weight" in read_header(folder).merged_names


def test_without_an_architecture_the_model_type_is_told(changed: ChangeModel) -> None:
    assert read_header(changed(config={"architectures": None})).architecture == "llama"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"must be a folder, but '.*nowhere' is not there"):
        read_header(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, r"must hold config\.json, but .* is not there"),
        ("{", "must be readable JSON, but is not"),
        ("[]", "must hold a JSON object, but holds list"),
    ],
)
def test_a_missing_or_malformed_configuration_is_refused(
    changed: ChangeModel, text: str | None, complaint: str
) -> None:
    folder = changed()
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=complaint):
        read_header(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_a_pickle_is_refused_and_never_loaded(changed: ChangeModel, tmp_path: Path, name: str) -> None:
    folder, trace = changed(), tmp_path / "loaded"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Mine(trace)))
    with pytest.raises(CheckpointError, match=f"holds the pickle '{name}', which can run code"):
        MappedCheckpoint(folder)
    assert not trace.exists()


def test_the_pickle_would_have_done_it(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Mine(tmp_path / "loaded")))
    assert (tmp_path / "loaded").is_dir()


def test_a_pickle_beside_safetensors_is_left_alone(changed: ChangeModel, tmp_path: Path) -> None:
    folder, trace = changed(), tmp_path / "loaded"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Mine(trace)))
    assert read_header(folder).files == ("model.safetensors",)
    assert not trace.exists()


def test_a_folder_without_weights_is_refused(changed: ChangeModel) -> None:
    folder = changed()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="but holds neither"):
        read_header(folder)


@pytest.mark.parametrize("size", [0, 5, 100, 50_000, -1])
def test_a_truncated_file_is_refused(changed: ChangeModel, size: int) -> None:
    file = changed() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="must be a whole safetensors file, but cannot be read"):
        read_header(file.parent)


def test_a_missing_shard_is_refused(shards: Path) -> None:
    lost = sorted(shards.glob("*.safetensors"))[0]
    lost.unlink()
    with pytest.raises(CheckpointError, match=f"names shards that must be there, but lacks {lost.name}"):
        read_header(shards)


@pytest.mark.parametrize("index", ["{", "[]", "3"])
def test_an_index_that_is_no_object_is_refused(shards: Path, index: str) -> None:
    (shards / INDEX).write_text(index)
    with pytest.raises(CheckpointError, match=r"must (be readable JSON|hold a JSON object)"):
        read_header(shards)


@pytest.mark.parametrize("weight_map", [None, [], {}, "model.safetensors", {"a.weight": 3}])
def test_an_index_without_a_table_of_tensors_is_refused(shards: Path, weight_map: Any) -> None:
    (shards / INDEX).write_text(json.dumps({} if weight_map is None else {"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match="must hold a `weight_map` of tensor names to file names"):
        read_header(shards)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/elsewhere.safetensors", "below/a.safetensors"])
def test_a_shard_of_another_folder_is_refused(shards: Path, name: str) -> None:
    """An index is data that comes from anywhere: it does not choose which files are read."""
    (shards / INDEX).write_text(json.dumps({"weight_map": {"a.weight": name}}))
    with pytest.raises(CheckpointError, match=f"must name files of its own folder, but names '{re.escape(name)}'"):
        read_header(shards)


def test_a_shard_that_is_no_safetensors_file_is_refused(shards: Path) -> None:
    broken = sorted(shards.glob("*.safetensors"))[0]
    broken.write_bytes(pickle.dumps("weights"))
    with pytest.raises(CheckpointError, match=f"{broken.name}' must be a whole safetensors file"):
        read_header(shards)


def test_every_float_has_its_size(tmp_path: Path) -> None:
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    save_file({str(dtype): torch.zeros(3, dtype=dtype) for dtype in dtypes}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    header = read_header(tmp_path)
    assert header.size_bytes == 3 * sum(dtype.itemsize for dtype in dtypes)
    assert len(header.merged_names) == 4
    assert header.architecture == "unknown"
