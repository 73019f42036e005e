"""Models of differing vocabularies get the rows of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces import MergeRecipe, group_parameters
from search_spaces.errors import CheckpointError, SpecificationError
from search_spaces.merge_recipe import BASE
from workers.candidate_worker import CandidateWorker, WorkerSetup
from workers.checkpoints import OpenedCheckpoint
from workers.checkpoints.opening import open_checkpoints, open_model
from workers.checkpoints.vocabulary import MergedVocabulary

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
# One token that all have, one of the base and the first, one of both experts, one of each alone.
TOKENS = {
    BASE: ["<pad>", "</s>", "a", "b", "base", "base first"],
    "first": ["</s>", "<pad>", "b", "a", "base first", "experts", "first"],
    "second": ["<pad>", "</s>", "b", "a", "second", "experts"],
}
Family = dict[str, str]


def save_model(folder: Path, tokens: list[str], seed: int, dtype: torch.dtype = torch.float32) -> str:
    """A random model whose rows stand for the tokens in order; one more row is padding."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokens) + 1,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=tokens.index("<pad>"),
        eos_token_id=tokens.index("</s>"),
        bos_token_id=None,
    )
    model: Any = LlamaForCausalLM(config)
    model.to(dtype).save_pretrained(folder)
    write_tokenizer(folder, tokens)
    return str(folder)


def write_tokenizer(folder: Path, tokens: list[str]) -> None:
    special = [
        {"id": index, "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for index, token in enumerate(tokens)
        if token.startswith("<")
    ]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    values: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "dropout": None, "unk_token": None}
        | {"continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False},
    }
    (folder / "tokenizer.json").write_text(json.dumps(values))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder = tmp_path_factory.mktemp("vocabularies")
    return {name: save_model(folder / name, tokens, seed) for seed, (name, tokens) in enumerate(TOKENS.items())}


def rows_of(models: Family, name: str = EMBEDDINGS) -> dict[str, dict[str, Tensor]]:
    """Model → token → its own row."""
    given = {model: open_model(folder).tensor(name) for model, folder in models.items()}
    return {model: dict(zip(TOKENS[model], tensor, strict=False)) for model, tensor in given.items()}


def vocabulary_of(opened: dict[str, OpenedCheckpoint]) -> MergedVocabulary:
    found = opened[BASE].header.vocabulary
    assert found is not None
    return found


@pytest.mark.parametrize("name", [EMBEDDINGS, HEAD])
@pytest.mark.parametrize("source", [BASE, "union", "first", "second"])
def test_every_token_has_its_row_in_every_model(models: Family, source: str, name: str) -> None:
    opened, own = open_checkpoints(models, source), rows_of(models, name)
    tokens = vocabulary_of(opened).tokens
    wanted = set().union(*TOKENS.values()) if source == "union" else set(TOKENS[source])
    assert set(tokens) == wanted
    for model, checkpoint in opened.items():
        found = checkpoint.tensor(name)
        assert tuple(found.shape) == checkpoint.header.tensors[name].shape == (len(wanted), 16)
        for token, row in tokens.items():
            have = [rows[token] for rows in own.values() if token in rows]
            lent = own[BASE].get(token, torch.stack(have).mean(0))
            torch.testing.assert_close(found[row], own[model].get(token, lent), rtol=0, atol=1e-7)


def test_a_union_keeps_the_bases_tokens_where_they_are(models: Family) -> None:
    tokens = vocabulary_of(open_checkpoints(models, "union")).tokens
    assert [tokens[token] for token in TOKENS[BASE]] == list(range(len(TOKENS[BASE])))
    assert sorted(tokens, key=lambda token: tokens[token])[len(TOKENS[BASE]) :] == ["experts", "first", "second"]


def test_other_tensors_are_the_models_own(models: Family) -> None:
    opened = open_checkpoints(models, "union")
    name = "model.norm.weight"
    assert torch.equal(opened["first"].tensor(name), open_model(models["first"]).tensor(name))


def test_rows_stay_in_the_models_dtype_unless_a_mean_is_taken(tmp_path: Path) -> None:
    half = {m: save_model(tmp_path / m, TOKENS[m], 3, torch.bfloat16) for m in TOKENS}
    assert open_checkpoints(half, BASE)["first"].tensor(EMBEDDINGS).dtype == torch.bfloat16
    assert open_checkpoints(half, "union")["first"].tensor(EMBEDDINGS).dtype == torch.float32  # `experts` is a mean


def test_an_unknown_source_is_refused(models: Family) -> None:
    with pytest.raises(SpecificationError, match=r"must be union or one of base, first, second, but got 'third'"):
        open_checkpoints(models, "third")


def test_without_a_tokenizer_there_is_no_vocabulary(tmp_path: Path) -> None:
    folders = {m: save_model(tmp_path / m, TOKENS[m], 3) for m in (BASE, "first")}
    (tmp_path / "first" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"must have a tokenizer\.json .*first' has none"):
        open_checkpoints(folders, BASE)


def test_tokens_without_a_row_are_left_out_or_refused(tmp_path: Path) -> None:
    folders = {m: save_model(tmp_path / m, TOKENS[m], 3) for m in (BASE, "first")}
    write_tokenizer(tmp_path / "first", [*TOKENS["first"], "x", "<late>"])
    assert "<late>" not in vocabulary_of(open_checkpoints(folders, "union")).tokens
    write_tokenizer(tmp_path / "first", [*TOKENS["first"], "x", "late"])
    with pytest.raises(CheckpointError, match=r"no more tokens than the model has rows, 8, but has 'late' beyond"):
        open_checkpoints(folders, "first")


@pytest.mark.parametrize("source", [BASE, "union", "first"])
def test_a_candidate_has_the_rows_the_tokenizer_and_the_ids(
    models: Family, source: str, tmp_path: Path, load_saved: Callable[[Path], tuple[Any, Any]]
) -> None:
    worker = CandidateWorker(WorkerSetup(models, {}, tokenizer=source))
    opened = worker.candidate.sources.checkpoints
    names = opened[BASE].header.merged_names
    coefficients = {expert: {"model": {"weight": 0.3}} for expert in ("first", "second")}
    experts = {name: folder for name, folder in models.items() if name != BASE}
    groups = group_parameters(names, "model")
    recipe = MergeRecipe("task_arithmetic", models[BASE], experts, groups, coefficients, dtype="float32")
    worker.save(recipe, tmp_path / "merge", "5GB")
    model, tokenizer = load_saved(tmp_path / "merge")
    tokens = vocabulary_of(opened).tokens
    assert tokenizer.get_vocab() == tokens
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] == len(tokens)
    assert (model.config.eos_token_id, model.config.pad_token_id) == (tokens["</s>"], tokens["<pad>"])
    assert model.generation_config.eos_token_id == worker.engine.end_id == tokens["</s>"]
    for name in (EMBEDDINGS, HEAD):
        base, first, second = (opened[m].tensor(name) for m in (BASE, "first", "second"))
        torch.testing.assert_close(model.state_dict()[name], base + 0.3 * (first - base) + 0.3 * (second - base))
