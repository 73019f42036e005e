"""What holds for every opened checkpoint, whatever its tensors are made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint, OpenedCheckpoint
from workers.checkpoints.adapted_checkpoint import AdaptedCheckpoint
from workers.checkpoints.aligned_checkpoint import AlignedCheckpoint, align
from workers.checkpoints.heads import HeadedCheckpoint, fit_heads
from workers.checkpoints.opening import open_model

ChangeModel = Callable[..., Path]
MEMBERS = (MappedCheckpoint, AdaptedCheckpoint, HeadedCheckpoint, AlignedCheckpoint)
# torch's names of what files call otherwise.
DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}


@pytest.fixture(params=MEMBERS, ids=lambda member: member.__name__)
def opened(request: pytest.FixtureRequest, family: Path, adapter: Path, changed: ChangeModel) -> OpenedCheckpoint:
    base = MappedCheckpoint(family / "base")
    if request.param is AdaptedCheckpoint:
        return open_model(f"{family / 'base'}+{adapter}")
    if request.param is HeadedCheckpoint:
        head = {"lm_head.weight": torch.zeros(448, 64)}
        untied = changed(tensors=lambda held: held.update(head), config={"tie_word_embeddings": False})
        return fit_heads({BASE: MappedCheckpoint(untied), "expert": base})["expert"]
    if request.param is AlignedCheckpoint:
        return align({BASE: base, "expert": MappedCheckpoint(family / "expert")}, "union")["expert"]
    return base


def test_is_the_member_that_was_asked_for(opened: OpenedCheckpoint, request: pytest.FixtureRequest) -> None:
    assert type(opened).__name__ in request.node.name


def test_tensors_are_as_the_header_says(opened: OpenedCheckpoint) -> None:
    assert opened.header.merged_names
    for name, told in opened.header.tensors.items():
        assert name in opened
        found = opened.tensor(name)
        assert tuple(found.shape) == told.shape
        assert found.dtype == DTYPES[told.dtype]
        assert found.device.type == "cpu"


def test_tensors_are_the_same_each_time(opened: OpenedCheckpoint) -> None:
    first = {name: opened.tensor(name).clone() for name in opened.header.merged_names}
    assert all(torch.equal(opened.tensor(name), tensor) for name, tensor in first.items())


def test_what_is_not_there_is_a_key_error(opened: OpenedCheckpoint) -> None:
    assert "model.nothing.weight" not in opened
    assert 7 not in opened
    with pytest.raises(KeyError, match=r"model\.nothing\.weight"):
        opened.tensor("model.nothing.weight")


def test_the_reference_opens_the_same_files(opened: OpenedCheckpoint) -> None:
    again = open_model(opened.header.reference.notation)
    assert again.header.folder == opened.header.folder
    assert again.header.adapter == opened.header.adapter
