"""Headers from a configuration alone are those that the files of such a model have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, MixtralConfig

from search_spaces.errors import CheckpointError
from workers.checkpoints import CheckpointHeader, read_header
from workers.checkpoints.config_header import header_of_config

SHAPES = Path(__file__).parents[3] / "benchmarks" / "shapes"


def announced(header: CheckpointHeader) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (tensor.dtype, tensor.shape) for name, tensor in header.weights.items()}


@pytest.mark.parametrize(
    ("shape", "n_parameters"),
    # The totals of the published checkpoints.
    [("llama-3-8b", 8_030_261_248), ("llama-3-70b", 70_553_706_496), ("mixtral-8x7b", 46_702_792_704)],
)
def test_published_models_have_their_parameters(shape: str, n_parameters: int) -> None:
    assert header_of_config(SHAPES / f"{shape}.json").n_parameters == n_parameters


def test_the_bundled_family_needs_no_weights(family: Path) -> None:
    ours, theirs = header_of_config(family / "base"), read_header(family / "base")
    assert announced(ours) == announced(theirs)
    assert (ours.is_tied, ours.architecture) == (theirs.is_tied, theirs.architecture)


def test_a_mixture_is_announced_as_it_is_saved(tmp_path: Path) -> None:
    config = MixtralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=3, dtype=torch.bfloat16,
    )  # fmt: skip
    model: Any = AutoModelForCausalLM
    model.from_config(config).save_pretrained(tmp_path)
    assert announced(header_of_config(tmp_path / "config.json")) == announced(read_header(tmp_path))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "config.json, but .* is not there"),
        ({}, "must be the configuration of a causal language model .* `model_type`"),
        ({"model_type": "t5"}, "causal language model .*T5Config"),
        ({"model_type": "llama", "hidden_size": "wide"}, "causal language model .*hidden_size"),
        ({"model_type": "llama", "num_attention_heads": 0}, "causal language model .* zero"),
    ],
)
def test_what_is_no_such_configuration(tmp_path: Path, config: dict[str, Any] | None, message: str) -> None:
    path = tmp_path / "config.json"
    if config is not None:
        path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        header_of_config(path)
