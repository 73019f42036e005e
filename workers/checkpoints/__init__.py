"""Checkpoints on disk: safetensors only, memory-mapped, checked against each other before anything is loaded."""

from __future__ import annotations

from workers.checkpoints._base import OpenedCheckpoint
from workers.checkpoints.compatibility import check_compatible
from workers.checkpoints.fingerprint import fingerprint
from workers.checkpoints.header import CheckpointHeader, TensorHeader, read_header
from workers.checkpoints.mapped_checkpoint import MappedCheckpoint

__all__ = [
    "CheckpointHeader",
    "MappedCheckpoint",
    "OpenedCheckpoint",
    "TensorHeader",
    "check_compatible",
    "fingerprint",
    "read_header",
]
