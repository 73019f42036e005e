"""Which tensors share one coefficient: a model's tensor names, grouped by granularity."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from search_spaces.errors import SpecificationError

# The containers of decoder layers in transformers: Llama and kin, GPT-2, GPT-NeoX and BLOOM, MPT.
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")
_EMBEDDINGS = re.compile(r"embed|\bwte\b|\bwpe\b")
_HEAD = re.compile(r"lm_head|embed_out|output_layer")
_NORM = re.compile(r"norm|\bln_|layernorm", re.IGNORECASE)
# What sends a token to its experts, and what weighs the shared one.
_ROUTER = re.compile(r"\.(?:gate|router|shared_expert_gate)\.(?:weight|bias|layer\.|e_score)")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)

GRANULARITIES = ("model", "blocks:N", "layer", "module", "tensor")


def layer_of(tensor_name: str) -> int | None:
    """The number of the decoder layer that holds the tensor, or None outside the layers."""
    found = _LAYER.search(tensor_name)
    return int(found.group(1)) if found else None


def is_embedding(tensor_name: str) -> bool:
    """Whether the tensor stands before the first layer."""
    return layer_of(tensor_name) is None and _outside_layers(tensor_name) == "embeddings"


def group_parameters(tensor_names: Iterable[str], granularity: str) -> dict[str, tuple[str, ...]]:
    """Put every tensor into exactly one group.

    Args:
        tensor_names: all names of the base model's checkpoint.
        granularity: `model` (one group), `blocks:N` (N runs of consecutive layers), `layer`,
            `module` (attention, MLP, norms and router of each layer) or `tensor`. But for `model` and
            `tensor`, embeddings, final norm and head are groups of their own.

    Returns:
        Group name → its tensors. Embeddings come first, then the layers in order, then the rest.

    Raises:
        SpecificationError: the granularity is unknown, or asks for more blocks than layers.
    """
    names = sorted(tensor_names, key=_position)
    key = _group_key(granularity, n_layers=_count_layers(names))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return {group: tuple(members) for group, members in groups.items()}


def tensor_to_group(groups: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The inverse of `group_parameters`: tensor name → group name."""
    return {name: group for group, members in groups.items() for name in members}


def _count_layers(names: Iterable[str]) -> int:
    return 1 + max((layer for layer in map(layer_of, names) if layer is not None), default=-1)


def _position(name: str) -> tuple[int, int, str]:
    """Sorts embeddings, layers by number, final norm, head, anything else."""
    layer = layer_of(name)
    if layer is not None:
        return (1, layer, name)
    rank = {"embeddings": 0, "final_norm": 2, "head": 3, "other": 4}[_outside_layers(name)]
    return (rank, 0, name)


def _outside_layers(name: str) -> str:
    if _HEAD.search(name):
        return "head"
    if _EMBEDDINGS.search(name):
        return "embeddings"
    return "final_norm" if _NORM.search(name) else "other"


def _group_key(granularity: str, n_layers: int) -> Callable[[str], str]:
    if granularity == "model":
        return lambda _: "model"
    if granularity == "tensor":
        return lambda name: name
    if granularity == "layer":
        return lambda name: _layered(name, lambda layer: f"layer.{layer}")
    if granularity == "module":
        return lambda name: _layered(name, lambda layer: f"layer.{layer}.{_module_of(name)}")
    n_blocks = _count_blocks(granularity, n_layers)
    return lambda name: _layered(name, lambda layer: f"block.{layer * n_blocks // n_layers}")


def _layered(name: str, inside: Callable[[int], str]) -> str:
    layer = layer_of(name)
    return _outside_layers(name) if layer is None else inside(layer)


def _module_of(name: str) -> str:
    # Norms first: `post_attention_layernorm` speaks of attention but is a norm. `q_norm` is one as well.
    if _NORM.search(name):
        return "norms"
    if _ATTENTION.search(name):
        return "attention"
    return "router" if _ROUTER.search(name) else "mlp"


def _count_blocks(granularity: str, n_layers: int) -> int:
    kind, _, number = granularity.partition(":")
    if kind != "blocks" or not number.isdecimal():
        raise SpecificationError(f"`granularity` must be one of {', '.join(GRANULARITIES)}, but got '{granularity}'.")
    # Python reads no number of more than 4,300 digits; no model has a million layers.
    if len(number) > 6 or not 1 <= int(number) <= n_layers:
        raise SpecificationError(
            f"`granularity: blocks:N` needs N from 1 to the model's {n_layers} layers, but got {number[:20]}."
        )
    return int(number)
