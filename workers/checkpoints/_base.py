"""The contract of an opened checkpoint: what it holds, and its tensors one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from workers.checkpoints.header import CheckpointHeader

if TYPE_CHECKING:
    from torch import Tensor


class OpenedCheckpoint(Protocol):
    """Tensors by the names that a checkpoint's files use, whatever they are made from.

    Attributes:
        header: names, shapes and dtypes of all that `tensor` gives; read without torch.
    """

    header: CheckpointHeader

    def tensor(self, name: str) -> Tensor:
        """One tensor on the CPU, of the shape and dtype that the header says; never write to it.

        Raises:
            KeyError: the checkpoint has no such tensor.
        """

    def __contains__(self, name: object) -> bool: ...
