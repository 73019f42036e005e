"""Whether two folders hold the same weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from workers.checkpoints import read_header
from workers.checkpoints.fingerprint import fingerprint

ChangeModel = Callable[..., Path]


def of(folder: Path) -> str:
    return fingerprint(read_header(folder))


def test_a_copy_in_another_place_has_the_same(family: Path, sharded: Path, tmp_path: Path) -> None:
    for folder in (family / "base", sharded):
        copied = Path(shutil.copytree(folder, tmp_path / folder.name))
        assert of(copied) == of(folder)


def test_each_model_has_its_own(family: Path, sharded: Path) -> None:
    found = {of(folder) for folder in (*(family / name for name in ("base", "aligned", "expert")), sharded)}
    assert len(found) == 4


@pytest.mark.parametrize("change", ["scale", "shorten"])
def test_other_weights_have_another(family: Path, changed: ChangeModel, change: str) -> None:
    def edit(held: dict[str, Tensor]) -> None:
        if change == "scale":
            held.update({name: tensor * 1.001 for name, tensor in held.items()})
        else:
            del held["model.norm.weight"]

    assert of(changed(tensors=edit)) != of(family / "expert")
