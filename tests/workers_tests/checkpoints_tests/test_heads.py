"""Tied and untied heads beside each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from search_spaces.errors import IncompatibleModelsError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint, OpenedCheckpoint, check_compatible
from workers.checkpoints.heads import fit_heads

ChangeModel = Callable[..., Path]
HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"
UNTIED = {"tie_word_embeddings": False}


def beside(base: Path, expert: Path) -> dict[str, OpenedCheckpoint]:
    return fit_heads({BASE: MappedCheckpoint(base), "medical": MappedCheckpoint(expert)})


def test_the_head_of_a_tied_expert_is_its_embeddings(family: Path, changed: ChangeModel) -> None:
    untied = changed(tensors=lambda held: held.update({HEAD: torch.zeros(448, 64)}), config=UNTIED)
    fitted = beside(untied, family / "base")
    expert = fitted["medical"]
    assert torch.equal(expert.tensor(HEAD), MappedCheckpoint(family / "base").tensor(EMBEDDINGS))
    assert HEAD in expert
    assert HEAD in expert.header.merged_names
    check_compatible(fitted[BASE].header, {"medical": expert.header})


def test_an_expert_that_stores_its_embeddings_twice_fits_a_tied_base(family: Path, changed: ChangeModel) -> None:
    untied = changed(tensors=lambda held: held.update({HEAD: held[EMBEDDINGS].clone()}), config=UNTIED)
    assert torch.equal(beside(family / "base", untied)["medical"].tensor(HEAD), MappedCheckpoint(untied).tensor(HEAD))


def test_an_expert_with_another_head_does_not_fit_a_tied_base(family: Path, changed: ChangeModel) -> None:
    untied = changed(tensors=lambda held: held.update({HEAD: held[EMBEDDINGS] + 1}), config=UNTIED)
    with pytest.raises(IncompatibleModelsError, match=r"lm_head\.weight of 'medical' .* differs from model\.embed_tok"):
        beside(family / "base", untied)
