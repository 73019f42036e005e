"""Adapters folded here and by PEFT itself: the same weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from search_spaces.errors import CheckpointError, IncompatibleModelsError
from search_spaces.merge_recipe import BASE
from workers.checkpoints import MappedCheckpoint, OpenedCheckpoint
from workers.checkpoints.fingerprint import fingerprint
from workers.checkpoints.model_files import read_model_header
from workers.checkpoints.opening import open_checkpoints, open_model

LLAMA = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "attention_bias": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
NEOX = {key: LLAMA[key] for key in LLAMA if key not in ("num_key_value_heads", "attention_bias")}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PATTERNS = {
    "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 6, "^model.layers.0.self_attn.k_proj": 3},
    "alpha_pattern": {"layers.0.self_attn.q_proj": 32, "down_proj": 1},
}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "all projections": ("llama", LLAMA, {"target_modules": PROJECTIONS, "lora_alpha": 12}),
    "rank-stabilised": ("llama", LLAMA, {"target_modules": ["q_proj"], "use_rslora": True, "lora_alpha": 12}),
    "patterns": ("llama", LLAMA, {"target_modules": PROJECTIONS, **PATTERNS}),
    "embeddings": ("llama", LLAMA, {"target_modules": ["embed_tokens", "q_proj"]}),
    "head": ("llama", LLAMA, {"target_modules": ["lm_head"]}),
    "whole modules": ("llama", LLAMA, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]}),
    "all biases": ("llama", LLAMA, {"target_modules": ["q_proj"], "bias": "all"}),
    "its own biases": ("llama", LLAMA, {"target_modules": ["q_proj"], "bias": "lora_only"}),
    "inputs first": ("gpt2", GPT2, {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    "a head of another name": ("gpt_neox", NEOX, {"target_modules": ["query_key_value", "lm_head"]}),
}


def trained(folder: Path, architecture: str, config: dict[str, Any], dtype: torch.dtype, **lora: Any) -> Any:
    """A base and an adapter on disk, and the model as PEFT merges it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    models: Any = AutoModelForCausalLM
    torch.manual_seed(0)
    model = models.from_config(AutoConfig.for_model(architecture, **config)).to(dtype)
    model.save_pretrained(folder / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own about embeddings that are saved too
        adapted: Any = get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", **lora))
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data.normal_()
        adapted.save_pretrained(folder / "adapter")
        return adapted.merge_and_unload()


def folded(folder: Path) -> OpenedCheckpoint:
    return open_model(f"{folder / 'base'}+{folder / 'adapter'}")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_an_adapter_is_folded_as_peft_does(tmp_path: Path, case: str, dtype: torch.dtype) -> None:
    architecture, config, lora = CASES[case]
    trained(tmp_path, architecture, config, dtype, **lora).save_pretrained(tmp_path / "merged")
    wanted, found, base = MappedCheckpoint(tmp_path / "merged"), folded(tmp_path), MappedCheckpoint(tmp_path / "base")
    assert set(found.header.merged_names) == set(wanted.header.merged_names)
    for name in wanted.header.merged_names:
        assert found.tensor(name).dtype == base.tensor(name).dtype
        assert found.tensor(name).shape == found.header.tensors[name].shape
        # Of embeddings in 16 bits, PEFT rounds the product as well as the sum.
        close = 1e-6 if dtype == torch.float32 else 2**-8
        largest = float(wanted.tensor(name).abs().max())
        torch.testing.assert_close(found.tensor(name), wanted.tensor(name), msg=name, rtol=0, atol=close * largest)
    changed = [name for name in wanted.header.merged_names if not torch.equal(found.tensor(name), base.tensor(name))]
    assert changed


def test_what_an_adapter_does_not_speak_of_is_the_bases_own(tmp_path: Path) -> None:
    trained(tmp_path, *CASES["head"][:2], torch.float32, target_modules=["q_proj"])
    found, base = folded(tmp_path), MappedCheckpoint(tmp_path / "base")
    assert torch.equal(found.tensor("model.norm.weight"), base.tensor("model.norm.weight"))
    assert found.tensor("model.layers.0.self_attn.q_proj.weight") is found.tensor(
        "model.layers.0.self_attn.q_proj.weight"
    )


def test_an_adapter_changes_the_fingerprint(tmp_path: Path) -> None:
    trained(tmp_path, *CASES["head"][:2], torch.float32, target_modules=["q_proj"])
    base, adapted = (
        read_model_header(text) for text in (str(tmp_path / "base"), folded(tmp_path).header.reference.notation)
    )
    assert fingerprint(base) != fingerprint(adapted)


def test_a_head_trained_whole_does_not_fit_a_tied_base(tmp_path: Path) -> None:
    config = {**LLAMA, "tie_word_embeddings": True}
    trained(tmp_path, "llama", config, torch.float32, target_modules=["q_proj"], modules_to_save=["lm_head"])
    models = {BASE: str(tmp_path / "base"), "medical": f"{tmp_path / 'base'}+{tmp_path / 'adapter'}"}
    with pytest.raises(IncompatibleModelsError, match=r"lm_head\.weight of 'medical' .* differs"):
        open_checkpoints(models)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    trained(tmp_path, "llama", LLAMA, torch.float32, target_modules=["q_proj", "up_proj"])
    return tmp_path / "adapter"


def refused(adapter: Path, kind: type[Exception], complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        folded(adapter.parent)


def configure(adapter: Path, **changes: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_tensors(adapter: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, adapter / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"use_dora": True}, r"must be a plain LoRA, but '.*' has DoRA \(`use_dora`\)"),
        ({"peft_type": "LOHA"}, r"must have `peft_type: LORA`, but '.*' has LOHA"),
        ({"peft_type": None}, r"must have `peft_type: LORA`, but '.*' has None"),
        ({"lora_bias": True}, "a bias of the low-rank part"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "low-rank parts of bare parameters"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "replicated layers"),
        ({"init_lora_weights": "pissa_niter_16"}, "'pissa_niter_16', which changes the base"),
        ({"r": "many"}, "must have numbers as `r` and `lora_alpha`"),
        ({"r": 0}, "must have `r` of 1 or more"),
        ({"rank_pattern": {"(": 3}}, "`rank_pattern` in .* must map patterns to numbers"),
        ({"alpha_pattern": {"q_proj": "x"}}, "`alpha_pattern` in .* must map patterns to numbers"),
    ],
)
def test_what_is_no_plain_lora_is_refused(adapter: Path, changes: dict[str, Any], complaint: str) -> None:
    configure(adapter, **changes)
    refused(adapter, CheckpointError, complaint)


def test_pickles_are_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    refused(adapter, CheckpointError, r"holds the pickle 'adapter_model\.bin'.* never opened")


def test_a_folder_without_an_adapter_is_refused(adapter: Path) -> None:
    (adapter / "adapter_config.json").unlink()
    refused(adapter, CheckpointError, r"must hold adapter_config\.json")
    for path in adapter.iterdir():
        path.unlink()
    adapter.rmdir()
    refused(adapter, CheckpointError, "An adapter must be a folder, but '.*' is not there")


def test_an_adapter_of_another_base_is_refused_by_its_tensors(adapter: Path) -> None:
    configure(adapter, base_model_name_or_path="somebody/another")
    change_tensors(
        adapter, lambda held: held.update({name: t.repeat(1, 2) for name, t in held.items() if "_A" in name})
    )
    refused(
        adapter,
        IncompatibleModelsError,
        r"layers\.0\.mlp\.up_proj\.weight is 48x32 and not 48x64; .* \(and 1 more\)\. It says .* 'somebody/another'",
    )


def test_an_adapter_of_a_deeper_base_is_refused_by_its_tensors(adapter: Path) -> None:
    def deepen(held: dict[str, Tensor]) -> None:
        held.update(
            {name.replace("layers.1", "layers.7"): held[name].clone() for name in list(held) if "layers.1" in name}
        )

    change_tensors(adapter, deepen)
    refused(adapter, IncompatibleModelsError, r"model\.layers\.7\.mlp\.up_proj\.weight is not in the base")


def test_half_a_pair_is_refused(adapter: Path) -> None:
    def halve(held: dict[str, Tensor]) -> None:
        del held[next(name for name in held if "lora_B" in name)]

    change_tensors(adapter, halve)
    refused(adapter, CheckpointError, r"must hold pairs of LoRA matrices, but holds model\..*lora_\* without A or B")


def test_a_rank_that_is_not_the_tensors_is_refused(adapter: Path) -> None:
    configure(adapter, r=8)
    refused(adapter, IncompatibleModelsError, "has A of 4x32 and B of 48x4 at rank 8")
