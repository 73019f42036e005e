"""A base with a LoRA adapter folded in: no checkpoint is written, each tensor is made at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from workers.checkpoints._base import OpenedCheckpoint
from workers.checkpoints.adapter import (
    TENSORS_FILE,
    AdapterHeader,
    LowRankPart,
    adapted_header,
    low_rank_parts,
    whole_tensors,
)

if TYPE_CHECKING:
    from torch import Tensor


class AdaptedCheckpoint:
    """W + alpha / r · B A for every tensor that the adapter speaks of; the others are the base's own.

    Computed in float32 and rounded once to the base's dtype, as PEFT's `merge_and_unload` does: a folder made by that
    holds the same. What is computed stays in memory.

    Args:
        base: what the adapter was trained on.
        adapter: see `read_adapter`.

    Raises:
        IncompatibleModelsError: see `adapted_header`.
    """

    def __init__(self, base: OpenedCheckpoint, adapter: AdapterHeader) -> None:
        self.header = adapted_header(base.header, adapter)
        self._base = base
        self._file: Any = safe_open(adapter.folder / TENSORS_FILE, framework="pt", device="cpu")
        self._parts = low_rank_parts(base.header, adapter)
        self._whole = whole_tensors(base.header, adapter)
        self._folded: dict[str, Tensor] = {}

    def tensor(self, name: str) -> Tensor:
        """See `OpenedCheckpoint.tensor`."""
        if name not in self._parts and name not in self._whole:
            return self._base.tensor(name)
        if name not in self._folded:
            self._folded[name] = self._fold(name)
        return self._folded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.header.tensors

    def _fold(self, name: str) -> Tensor:
        if name in self._whole:
            like = name if name in self._base else self._base.header.embeddings or name
            weight: Tensor = self._file.get_tensor(self._whole[name]).to(self._base.tensor(like).dtype)
        else:
            weight = self._base.tensor(name)
        if name not in self._parts:
            return weight
        return (weight.float() + self._product(self._parts[name])).to(weight.dtype)

    def _product(self, part: LowRankPart) -> Tensor:
        a, b = (self._file.get_tensor(side).float() for side in (part.a, part.b))
        product: Tensor = (b @ a) * part.scale
        return product.T if part.is_transposed else product
