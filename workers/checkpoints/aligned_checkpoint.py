"""Checkpoints of differing vocabularies, with the rows of one: embeddings and heads that can be merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workers.checkpoints._base import OpenedCheckpoint
from workers.checkpoints.vocabulary import MergedVocabulary, aligned_header, merge_vocabularies, vocabulary_names

if TYPE_CHECKING:
    from torch import Tensor


class AlignedCheckpoint:
    """A checkpoint whose embeddings and head have the rows of the merge; its other tensors are its own.

    A token that the model has keeps its row. One that it lacks has the base's, or where the base lacks it as well the
    mean of those models that have it; one that no model has is zero. So a token of one model alone is the same in all.

    What is made stays in memory: in the models' dtype, or in float32 where a mean was taken or their dtypes differ.

    Args:
        model: its name.
        checkpoints: model name → checkpoint, base first.
        vocabulary: of the merge.
    """

    def __init__(self, model: str, checkpoints: Mapping[str, OpenedCheckpoint], vocabulary: MergedVocabulary) -> None:
        self._model = model
        self._checkpoints = checkpoints
        self._vocabulary = vocabulary
        self._made: dict[str, Tensor] = {}
        self.header = aligned_header({name: opened.header for name, opened in checkpoints.items()}, model, vocabulary)
        self._aligned = frozenset(vocabulary_names(self.header))

    def tensor(self, name: str) -> Tensor:
        """See `OpenedCheckpoint.tensor`."""
        if name not in self._aligned:
            return self._checkpoints[self._model].tensor(name)
        if name not in self._made:
            self._made[name] = self._align(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self.header.tensors

    def _align(self, name: str) -> Tensor:
        """`n_rows x ...`: what the models lend, and over it first the base's own rows and then this model's."""
        import torch

        given = {model: checkpoint.tensor(name) for model, checkpoint in self._checkpoints.items()}
        rows = {model: torch.tensor(found) for model, found in self._vocabulary.rows.items()}
        has = {model: found >= 0 for model, found in rows.items()}
        total = torch.zeros(self.header.tensors[name].shape)
        for model, tensor in given.items():
            total[has[model]] += tensor[rows[model][has[model]]].float()
        count = torch.stack(list(has.values())).sum(0).clamp(min=1)
        dtype = torch.float32 if self.header.tensors[name].dtype == "F32" else given[self._model].dtype
        aligned = (total / count.view(-1, *[1] * (total.dim() - 1))).to(dtype)
        for model in (next(iter(given)), self._model):
            aligned[has[model]] = given[model][rows[model][has[model]]].to(dtype)
        return aligned


def align(checkpoints: Mapping[str, OpenedCheckpoint], source: str | None) -> dict[str, OpenedCheckpoint]:
    """The same with the rows of one vocabulary; as they are without a source.

    Args:
        checkpoints: model name → checkpoint, base first; with heads of one kind.
        source: see `merge_vocabularies`.

    Raises:
        SpecificationError, CheckpointError: see `merge_vocabularies`.
    """
    if source is None:
        return dict(checkpoints)
    vocabulary = merge_vocabularies({name: opened.header for name, opened in checkpoints.items()}, source)
    return {name: AlignedCheckpoint(name, checkpoints, vocabulary) for name in checkpoints}
