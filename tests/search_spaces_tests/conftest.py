"""Tensor names of small models, and spaces over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search_spaces import METHOD_SIGNATURES, SearchSpace, SpaceOptions

LAYER = (
    "input_layernorm",
    "mlp.down_proj",
    "mlp.gate_proj",
    "post_attention_layernorm",
    "self_attn.k_proj",
    "self_attn.q_norm",
    "self_attn.q_proj",
)


@pytest.fixture(scope="session")
def tensor_names() -> tuple[str, ...]:
    """A Llama of twelve layers: `layers.1` is a part of `layers.11`."""
    layers = [f"model.layers.{i}.{part}.weight" for i in range(12) for part in LAYER]
    return ("model.embed_tokens.weight", *layers, "model.norm.weight", "lm_head.weight")


@pytest.fixture(scope="session")
def make_space(tensor_names: tuple[str, ...]) -> Callable[..., SearchSpace]:
    """`make_space(method, granularity, n_experts, names=..., **options)`; two experts, or what the method takes."""

    def make(
        method: str = "task_arithmetic",
        granularity: str = "layer",
        n_experts: int | None = None,
        names: tuple[str, ...] = tensor_names,
        **options: Any,
    ) -> SearchSpace:
        signature = METHOD_SIGNATURES[method] if method in METHOD_SIGNATURES else METHOD_SIGNATURES["linear"]
        n_experts = n_experts or min(2, signature.max_experts or 2)
        experts = {name: f"/models/{name}" for name in ("medical", "chat", "code")[:n_experts]}
        return SearchSpace("/models/start", experts, names, SpaceOptions(method, granularity, **options))

    return make
