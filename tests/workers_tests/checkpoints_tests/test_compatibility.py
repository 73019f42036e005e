"""Models that do not fit together are refused with the expert and what offends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.errors import CheckpointError, IncompatibleModelsError
from workers.checkpoints import CheckpointHeader, check_compatible, read_header

ChangeModel = Callable[..., Path]


@pytest.fixture
def base(family: Path) -> CheckpointHeader:
    return read_header(family / "base")


def refuses(base: CheckpointHeader, folder: Path, complaint: str) -> None:
    with pytest.raises(IncompatibleModelsError, match=complaint):
        check_compatible(base, {"medical": read_header(folder)})


def test_the_family_fits_together(base: CheckpointHeader, family: Path, sharded: Path) -> None:
    experts = {"aligned": family / "aligned", "expert": family / "expert", "sharded": sharded}
    check_compatible(base, {name: read_header(folder) for name, folder in experts.items()})


def test_another_architecture_is_refused(base: CheckpointHeader, changed: ChangeModel) -> None:
    folder = changed(config={"architectures": ["MistralForCausalLM"]})
    refuses(base, folder, "the base is LlamaForCausalLM and expert 'medical' is MistralForCausalLM")


def narrow(held: dict[str, Tensor]) -> None:
    """Half the hidden size."""
    held.update({name: tensor[..., :32].contiguous() for name, tensor in held.items() if tensor.shape[-1] == 64})


def test_another_hidden_size_is_refused_with_the_first_three_tensors(
    base: CheckpointHeader, changed: ChangeModel
) -> None:
    complaint = (
        r"Expert 'medical' .* but model\.embed_tokens\.weight is 448x32 and not 448x64; "
        r"model\.layers\.0\.input_layernorm\.weight is 32 and not 64; "
        r"model\.layers\.0\.mlp\.gate_proj\.weight is 160x32 and not 160x64 \(and \d+ more\)"
    )
    refuses(base, changed(tensors=narrow), complaint)


def test_missing_and_additional_tensors_are_refused(base: CheckpointHeader, changed: ChangeModel) -> None:
    def rename(held: dict[str, Tensor]) -> None:
        held["model.last.weight"] = held.pop("model.norm.weight")

    complaint = r"'medical' .* but model\.norm\.weight is missing; model\.last\.weight is not in the base\."
    refuses(base, changed(tensors=rename), complaint)


def test_another_vocabulary_is_refused_by_its_tokens(base: CheckpointHeader, changed: ChangeModel) -> None:
    def exchange(tokenizer: dict[str, Any]) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        first, second, third = list(vocabulary)[10:13]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
        vocabulary["entirely new"] = vocabulary.pop(third)

    complaint = r"'medical' .* the base's vocabulary, but token .* is 11 and not 10; token .* \(and 1 more\)"
    refuses(base, changed(tokenizer=exchange), complaint)


def test_other_added_tokens_are_refused(base: CheckpointHeader, changed: ChangeModel) -> None:
    def add(tokenizer: dict[str, Any]) -> None:
        tokenizer["added_tokens"].append({"id": 448, "content": "<new>"})

    refuses(base, changed(tokenizer=add), "token '<new>' is 448 and not in the base")


def test_a_malformed_tokenizer_is_refused(base: CheckpointHeader, changed: ChangeModel) -> None:
    folder = changed()
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json' must be readable JSON"):
        check_compatible(base, {"medical": read_header(folder)})


def test_without_a_tokenizer_only_tensors_are_compared(base: CheckpointHeader, changed: ChangeModel) -> None:
    folder = changed()
    (folder / "tokenizer.json").unlink()
    check_compatible(base, {"medical": read_header(folder)})


def test_a_tied_head_may_be_stored_or_left_out(base: CheckpointHeader, changed: ChangeModel) -> None:
    head = {"lm_head.weight": torch.zeros(448, 64)}
    stored = read_header(changed(tensors=lambda held: held.update(head)))
    check_compatible(base, {"medical": stored})
    check_compatible(stored, {"medical": base})


def test_a_tied_head_beside_one_of_its_own_is_the_embeddings(base: CheckpointHeader, changed: ChangeModel) -> None:
    head = {"lm_head.weight": torch.zeros(448, 64)}
    untied = read_header(changed(tensors=lambda held: held.update(head), config={"tie_word_embeddings": False}))
    check_compatible(base, {"medical": untied})
    check_compatible(untied, {"medical": base})


def test_a_head_of_another_shape_is_refused(base: CheckpointHeader, changed: ChangeModel) -> None:
    head = {"lm_head.weight": torch.zeros(400, 64)}
    untied = read_header(changed(tensors=lambda held: held.update(head), config={"tie_word_embeddings": False}))
    with pytest.raises(IncompatibleModelsError, match=r"lm_head\.weight is 448x64 and not 400x64"):
        check_compatible(untied, {"medical": base})


def test_what_models_compute_themselves_is_no_weight(base: CheckpointHeader, changed: ChangeModel) -> None:
    stored = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    header = read_header(changed(tensors=lambda held: held.update(stored)))
    check_compatible(base, {"medical": header})
    assert header.merged_names == base.merged_names


def test_the_dtype_may_differ(base: CheckpointHeader, changed: ChangeModel) -> None:
    folder = changed(tensors=lambda held: held.update({name: tensor.float() for name, tensor in held.items()}))
    check_compatible(base, {"medical": read_header(folder)})
