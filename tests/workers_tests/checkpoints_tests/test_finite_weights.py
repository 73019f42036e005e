"""Weights that are no numbers are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from search_spaces.errors import CheckpointError
from search_spaces.merge_recipe import BASE
from workers.checkpoints.opening import open_checkpoints

ChangeModel = Callable[..., Path]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_refused(family: Path, changed: ChangeModel, value: float) -> None:
    def spoil(held: dict[str, Tensor]) -> None:
        held["model.layers.1.mlp.up_proj.weight"][3, 5] = value

    models = {BASE: str(family / "base"), "medical": str(changed(tensors=spoil))}
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj\.weight of 'medical' .* holds 1 that are NaN"):
        open_checkpoints(models)


def test_the_largest_numbers_there_are_are_numbers(family: Path, changed: ChangeModel) -> None:
    def enlarge(held: dict[str, Tensor]) -> None:
        held["model.layers.1.mlp.up_proj.weight"].fill_(65504.0)

    open_checkpoints({BASE: str(family / "base"), "medical": str(changed(tensors=enlarge))})
