"""Small random checkpoints, made so that tools which merge them differ where they can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from search_spaces.merge_recipe import BASE

EXPERTS = ("first", "second", "third")


Tensors = Mapping[str, Tensor]

# 2 layers, some 10^5 parameters: every kind of tensor, and rows enough for statistics over them.
_SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 768,
}
# Of checkpoints that are stored beside the tests: some 5,000 parameters.
_GOLDEN_SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "vocab_size": 40,
}
_GRID = 2.0**-10


@dataclass(frozen=True, slots=True)
class Family:
    """A base and three experts.

    Args:
        name: of its folder.
        architecture: `llama`, or `qwen2`, which has biases and tied embeddings.
        dtype: of the checkpoints.
        near: the experts are small steps on a grid away from the base, most elements not at all: task vectors
            are full of zeros and of equal magnitudes. Otherwise every element is changed by some tenths of itself.
        golden: much smaller.
    """

    name: str
    architecture: str
    dtype: torch.dtype
    near: bool
    golden: bool = False


FAMILIES = (
    Family("llama-bfloat16", "llama", torch.bfloat16, near=False),
    Family("llama-float32", "llama", torch.float32, near=False),
    Family("qwen2-bfloat16-near", "qwen2", torch.bfloat16, near=True),
    Family("qwen2-float32-near", "qwen2", torch.float32, near=True),
)
GOLDEN_FAMILIES = (
    Family("golden-bfloat16", "llama", torch.bfloat16, near=False, golden=True),
    Family("golden-float32-near", "qwen2", torch.float32, near=True, golden=True),
)


def random_tensors(family: Family) -> dict[str, Tensors]:
    """Model name → its tensors, base first; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    base = {name: _base(parameter, family, generator) for name, parameter in _model(family).named_parameters()}
    models = {BASE: base}
    for expert in EXPERTS:
        models[expert] = {name: values + _task_vector(values, family, generator) for name, values in base.items()}
    return {
        model: {name: values.to(family.dtype) for name, values in tensors.items()} for model, tensors in models.items()
    }


def write_family(family: Family, models: Mapping[str, Tensors], folder: Path) -> dict[str, str]:
    """Write its checkpoints below a folder: model name → folder."""
    model, folders = _model(family), {}
    for name, tensors in models.items():
        for key, parameter in model.named_parameters():
            parameter.data.copy_(tensors[key])
        folders[name] = str(folder / family.name / name)
        model.save_pretrained(folders[name])
    return folders


def _model(family: Family) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    shape = _GOLDEN_SHAPE if family.golden else _SHAPE
    if family.architecture == "llama":
        llama: Any = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False, dtype=family.dtype))
        return llama.to(family.dtype)
    qwen2: Any = Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True, dtype=family.dtype))
    return qwen2.to(family.dtype)


def _base(parameter: Tensor, family: Family, generator: torch.Generator) -> Tensor:
    # Norms begin at one and biases at zero: here all is random, around those.
    values = 0.05 * torch.randn(parameter.shape, generator=generator) + (parameter.mean() > 0.5)
    return ((values / _GRID).round() * _GRID if family.near else values).to(family.dtype).float()


def _task_vector(base: Tensor, family: Family, generator: torch.Generator) -> Tensor:
    if not family.near:
        return 0.02 * torch.randn(base.shape, generator=generator)
    steps = torch.randint(-3, 4, base.shape, generator=generator)
    changed = torch.rand(base.shape, generator=generator) < 0.6
    return steps * changed * _GRID
