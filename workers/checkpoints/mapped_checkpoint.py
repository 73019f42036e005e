"""A checkpoint's tensors, memory-mapped: all workers of a node share one copy of the pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from workers.checkpoints.header import CheckpointHeader, read_header

if TYPE_CHECKING:
    from torch import Tensor


class MappedCheckpoint:
    """Tensors as views of the files; nothing is read before it is used, nothing is copied.

    Args:
        folder: see `read_header`.

    Raises:
        CheckpointError: see `read_header`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.header: CheckpointHeader = read_header(folder)
        self._files: dict[str, Any] = {
            file: safe_open(self.header.folder / file, framework="pt", device="cpu") for file in self.header.files
        }

    def tensor(self, name: str) -> Tensor:
        """A read-only view of one tensor; never write to it.

        Raises:
            KeyError: the checkpoint has no such tensor.
        """
        file = self.header.tensors[name].file
        found: Tensor = self._files[file].get_tensor(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.header.tensors
