"""Tensors as views of the files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from workers.checkpoints import MappedCheckpoint


def test_tensors_are_those_of_the_file(family: Path) -> None:
    checkpoint = MappedCheckpoint(family / "base")
    for name, tensor in load_file(family / "base" / "model.safetensors").items():
        assert torch.equal(checkpoint.tensor(name), tensor)
        assert checkpoint.tensor(name).dtype == tensor.dtype


def test_shards_give_the_tensors_of_a_single_file(family: Path, sharded: Path) -> None:
    whole, parts = MappedCheckpoint(family / "base"), MappedCheckpoint(sharded)
    for name in whole.header.tensors:
        assert torch.equal(parts.tensor(name), whole.tensor(name))


def test_it_knows_what_it_holds(family: Path) -> None:
    checkpoint = MappedCheckpoint(family / "base")
    assert "model.norm.weight" in checkpoint
    assert "model.norm.bias" not in checkpoint
    with pytest.raises(KeyError, match=r"model\.norm\.bias"):
        checkpoint.tensor("model.norm.bias")


@pytest.mark.skipif(sys.platform != "linux", reason="maps are read from /proc")
def test_tensors_lie_in_the_mapped_file(family: Path) -> None:
    file = family / "base" / "model.safetensors"
    tensor = MappedCheckpoint(family / "base").tensor("model.embed_tokens.weight")
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
    ranges = [[int(end, 16) for end in line[0].split("-")] for line in maps]
    assert any(start <= tensor.data_ptr() < stop for start, stop in ranges)
