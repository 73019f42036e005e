"""The models of a merge, opened together and made to fit each other."""

from __future__ import annotations

from collections.abc import Mapping

from workers.checkpoints._base import OpenedCheckpoint
from workers.checkpoints.adapted_checkpoint import AdaptedCheckpoint
from workers.checkpoints.aligned_checkpoint import align
from workers.checkpoints.finite_weights import check_finite
from workers.checkpoints.heads import fit_heads
from workers.checkpoints.mapped_checkpoint import MappedCheckpoint
from workers.checkpoints.model_files import read_model_header


def open_checkpoints(models: Mapping[str, str], tokenizer: str | None = None) -> dict[str, OpenedCheckpoint]:
    """Open a base and its experts; their weights are read once, to see that all are numbers.

    Args:
        models: model name → `ModelReference.notation`, `base` first.
        tokenizer: whose tokens the merge has; see `merge_vocabularies`. None where all have the same.

    Raises:
        CheckpointError: a model cannot be read, or holds what is no number.
        IncompatibleModelsError: they do not fit together; see `fit_heads`.
    """
    found = align(fit_heads({name: open_model(notation) for name, notation in models.items()}), tokenizer)
    check_finite(found)
    return found


def open_model(notation: str) -> OpenedCheckpoint:
    """Open one model, with its adapter folded in.

    Args:
        notation: see `ModelReference.notation`.

    Raises:
        CheckpointError: see `read_model_header`.
    """
    header = read_model_header(notation)
    mapped = MappedCheckpoint(header.folder)
    return AdaptedCheckpoint(mapped, header.adapter) if header.adapter else mapped
