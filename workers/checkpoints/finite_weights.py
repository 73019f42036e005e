"""Whether every weight is a number: one pass over what is merged, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from search_spaces.errors import CheckpointError
from workers.checkpoints._base import OpenedCheckpoint

if TYPE_CHECKING:
    from torch import Tensor


def check_finite(checkpoints: Mapping[str, OpenedCheckpoint]) -> None:
    """Refuse weights that no merge can mend: NaN times a coefficient of 0 still is NaN.

    Raises:
        CheckpointError: naming the model and the tensor.
    """
    for model, checkpoint in checkpoints.items():
        for name in checkpoint.header.merged_names:
            tensor = checkpoint.tensor(name)
            if not _is_finite(tensor):
                raise CheckpointError(
                    f"Every weight must be a finite number, but {name} of '{model}' ('{checkpoint.header.folder}') "
                    f"holds {int((~tensor.isfinite()).sum())} that are NaN or infinite. Take a checkpoint that was "
                    "trained without overflow, or leave the model out."
                )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.numel():
        return True
    # NaN comes through both; 20 times as fast as a look at each number.
    lowest, highest = tensor.aminmax()
    return bool(lowest.isfinite() and highest.isfinite())
