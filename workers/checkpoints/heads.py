"""Tied and untied heads beside each other: every expert gets the head that the base has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from search_spaces.errors import IncompatibleModelsError
from search_spaces.merge_recipe import BASE
from workers.checkpoints._base import OpenedCheckpoint
from workers.checkpoints.compatibility import weights_beside

if TYPE_CHECKING:
    from torch import Tensor


class HeadedCheckpoint:
    """A checkpoint with a tied head, whose embeddings are its head as well.

    Args:
        checkpoint: with embeddings.
        base: that has a head of its own.
    """

    def __init__(self, checkpoint: OpenedCheckpoint, base: OpenedCheckpoint) -> None:
        self._checkpoint = checkpoint
        self._head = base.header.head
        tensors = {**checkpoint.header.tensors, **weights_beside(checkpoint.header, base.header)}
        config = {**checkpoint.header.config, "tie_word_embeddings": False}
        self.header = replace(checkpoint.header, config=config, tensors=tensors)

    def tensor(self, name: str) -> Tensor:
        """See `OpenedCheckpoint.tensor`."""
        embeddings = self._checkpoint.header.embeddings
        return self._checkpoint.tensor(embeddings if name == self._head and embeddings else name)

    def __contains__(self, name: object) -> bool:
        return name in self.header.tensors


def fit_heads(checkpoints: Mapping[str, OpenedCheckpoint]) -> dict[str, OpenedCheckpoint]:
    """The same, all of them tied or untied as the base is.

    Args:
        checkpoints: model name → checkpoint, `base` among them.

    Raises:
        IncompatibleModelsError: the base's head is tied, and an expert has one that differs from its embeddings.
    """
    return dict(_fitted(checkpoints))


def _fitted(checkpoints: Mapping[str, OpenedCheckpoint]) -> Iterator[tuple[str, OpenedCheckpoint]]:
    base = checkpoints[BASE]
    for name, checkpoint in checkpoints.items():
        if base.header.is_tied:
            _check_same(name, checkpoint)
            yield name, checkpoint
        else:
            yield name, HeadedCheckpoint(checkpoint, base) if checkpoint.header.is_tied else checkpoint


def _check_same(name: str, checkpoint: OpenedCheckpoint) -> None:
    header = checkpoint.header
    if header.is_tied or header.head is None or header.embeddings is None:
        return
    head, embeddings = checkpoint.tensor(header.head), checkpoint.tensor(header.embeddings)
    if head.shape != embeddings.shape or not bool((head == embeddings).all()):
        raise IncompatibleModelsError(
            f"Where the base's head is tied to its embeddings, an expert's must equal its own, but {header.head} of "
            f"'{name}' ('{header.folder}') differs from {header.embeddings}: a merge has one tensor for both. "
            "Take a base whose head is its own."
        )
