"""The models of a merge, opened together and made to fit each other."""

from __future__ import annotations

from collections.abc import Mapping

from workers.checkpoints._base import OpenedCheckpoint
from workers.checkpoints.finite_weights import check_finite
from workers.checkpoints.heads import fit_heads
from workers.checkpoints.mapped_checkpoint import MappedCheckpoint


def open_checkpoints(models: Mapping[str, str]) -> dict[str, OpenedCheckpoint]:
    """Open a base and its experts; their weights are read once, to see that all are numbers.

    Args:
        models: model name → folder, `base` first.

    Raises:
        CheckpointError: a model cannot be read, or holds what is no number.
        IncompatibleModelsError: they do not fit together; see `fit_heads`.
    """
    found = fit_heads({name: MappedCheckpoint(folder) for name, folder in models.items()})
    check_finite(found)
    return found
