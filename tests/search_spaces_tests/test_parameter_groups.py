"""Every tensor in one group, whatever the granularity, the order of the names or the architecture."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import group_parameters
from search_spaces.errors import SpecificationError
from search_spaces.parameter_groups import is_embedding, layer_of, tensor_to_group

GRANULARITIES = ("model", "blocks:1", "blocks:3", "blocks:5", "blocks:12", "layer", "module", "tensor")
EVERY = pytest.mark.parametrize("granularity", GRANULARITIES)

GPT2 = ("h.0.attn.c_attn.bias", "h.0.attn.c_attn.weight", "h.0.ln_1.weight", "h.0.mlp.c_fc.weight")
names = st.lists(st.text("abh.norm01_", min_size=1, max_size=20), unique=True)


@EVERY
def test_every_tensor_is_in_one_group(granularity: str, tensor_names: tuple[str, ...]) -> None:
    groups = group_parameters(tensor_names, granularity)
    members = [name for group in groups.values() for name in group]
    assert sorted(members) == sorted(tensor_names)
    assert all(groups.values())


@given(names)
def test_odd_names_are_in_one_group_as_well(odd: list[str]) -> None:
    for granularity in ("model", "layer", "module", "tensor"):
        groups = group_parameters(odd, granularity)
        assert sorted(name for group in groups.values() for name in group) == sorted(odd)


@EVERY
@given(seed=st.integers(0, 1000))
def test_order_of_names_does_not_matter(granularity: str, seed: int, tensor_names: tuple[str, ...]) -> None:
    shuffled = list(tensor_names)
    Random(seed).shuffle(shuffled)
    expected = group_parameters(tensor_names, granularity)
    assert list(group_parameters(shuffled, granularity).items()) == list(expected.items())


@EVERY
def test_tensor_to_group_is_the_inverse(granularity: str, tensor_names: tuple[str, ...]) -> None:
    groups = group_parameters(tensor_names, granularity)
    by_tensor = tensor_to_group(groups)
    assert by_tensor.keys() == set(tensor_names)
    assert all(name in groups[group] for name, group in by_tensor.items())


@pytest.mark.parametrize(("fine", "coarse"), [("tensor", "module"), ("module", "layer"), ("layer", "blocks:5")])
def test_finer_groups_lie_within_coarser_ones(fine: str, coarse: str, tensor_names: tuple[str, ...]) -> None:
    outer = tensor_to_group(group_parameters(tensor_names, coarse))
    for members in group_parameters(tensor_names, fine).values():
        assert len({outer[name] for name in members}) == 1


def test_as_many_blocks_as_layers_are_the_layers(tensor_names: tuple[str, ...]) -> None:
    blocks = group_parameters(tensor_names, "blocks:12")
    assert list(blocks.values()) == list(group_parameters(tensor_names, "layer").values())


@pytest.mark.parametrize("n_blocks", range(1, 13))
def test_blocks_are_runs_of_even_length(n_blocks: int, tensor_names: tuple[str, ...]) -> None:
    groups = group_parameters(tensor_names, f"blocks:{n_blocks}")
    runs = [sorted({layer_of(name) or 0 for name in groups[f"block.{i}"]}) for i in range(n_blocks)]
    assert [layer for run in runs for layer in run] == list(range(12))
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_layers_are_ordered_by_number(tensor_names: tuple[str, ...]) -> None:
    layers = [f"layer.{i}" for i in range(12)]
    assert list(group_parameters(tensor_names, "layer")) == ["embeddings", *layers, "final_norm", "head"]


def test_model_is_one_group_and_tensors_are_their_own(tensor_names: tuple[str, ...]) -> None:
    assert list(group_parameters(tensor_names, "model")) == ["model"]
    assert all(members == (name,) for name, members in group_parameters(tensor_names, "tensor").items())


def test_modules_tell_norms_from_what_they_normalise(tensor_names: tuple[str, ...]) -> None:
    groups = group_parameters(tensor_names, "module")
    assert set(groups["layer.3.norms"]) == {
        f"model.layers.3.{part}.weight" for part in ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm")
    }
    assert all("self_attn" in name for name in groups["layer.3.attention"])
    assert all("mlp" in name for name in groups["layer.3.mlp"])


def test_gpt2_names_are_understood() -> None:
    groups = group_parameters(("wte.weight", "wpe.weight", *GPT2, "ln_f.weight"), "module")
    assert list(groups) == ["embeddings", "layer.0.attention", "layer.0.norms", "layer.0.mlp", "final_norm"]
    assert groups["embeddings"] == ("wpe.weight", "wte.weight")


def test_gpt_neox_names_are_understood() -> None:
    layer = "gpt_neox.layers.0"
    parts = ("attention.dense.bias", "input_layernorm.bias", "mlp.dense_h_to_4h.bias")
    names = ("gpt_neox.embed_in.weight", *(f"{layer}.{part}" for part in parts), "gpt_neox.final_layer_norm.weight")
    groups = group_parameters((*names, "embed_out.weight"), "module")
    assert list(groups) == [
        "embeddings",
        "layer.0.attention",
        "layer.0.norms",
        "layer.0.mlp",
        "final_norm",
        "head",
    ]


@pytest.mark.parametrize(
    ("router", "expert"),
    [
        ("block_sparse_moe.gate.weight", "block_sparse_moe.experts.3.w1.weight"),
        ("mlp.gate.weight", "mlp.experts.3.gate_proj.weight"),
        ("mlp.shared_expert_gate.weight", "mlp.shared_expert.gate_proj.weight"),
        ("mlp.router.weight", "mlp.experts.gate_up_proj"),
    ],
)
def test_routers_are_told_from_experts(router: str, expert: str) -> None:
    groups = group_parameters((f"model.layers.0.{router}", f"model.layers.0.{expert}"), "module")
    assert groups == {"layer.0.mlp": (f"model.layers.0.{expert}",), "layer.0.router": (f"model.layers.0.{router}",)}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.7.mlp.up_proj.weight", 7),
        ("layers.0.mlp.weight", 0),
        ("transformer.h.11.attn.weight", 11),
        ("transformer.blocks.3.ffn.weight", 3),
        ("model.norm.weight", None),
        ("myh.3.weight", None),
    ],
)
def test_layer_of(name: str, layer: int | None) -> None:
    assert layer_of(name) == layer


def test_only_tensors_before_the_layers_are_embeddings() -> None:
    assert is_embedding("transformer.wte.weight")
    assert is_embedding("model.embed_tokens.weight")
    assert not any(map(is_embedding, ("embed_out.weight", "model.norm.weight", "layers.0.embed.weight")))


@pytest.mark.parametrize(
    "granularity", ["", "modules", "blocks", "blocks:", "blocks:x", "blocks:-1", "Layer", "layer:3"]
)
def test_unknown_granularity_is_refused(granularity: str, tensor_names: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError, match=f"`granularity` must be one of .* but got '{granularity}'"):
        group_parameters(tensor_names, granularity)


@pytest.mark.parametrize("n_blocks", [0, 13, 1000])
def test_impossible_number_of_blocks_is_refused(n_blocks: int, tensor_names: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError, match=f"N from 1 to the model's 12 layers, but got {n_blocks}"):
        group_parameters(tensor_names, f"blocks:{n_blocks}")


def test_a_number_of_blocks_that_python_does_not_read_is_refused(tensor_names: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError, match=r"the model's 12 layers, but got 9{20}\.$"):
        group_parameters(tensor_names, "blocks:" + "9" * 5000)
