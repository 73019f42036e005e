"""A family of 32 layers, cut from the bundled one: only its headers are read, and its coefficients searched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from service.demo import FAMILY

N_LAYERS = 32
_MODELS = ("base", "aligned", "expert")


def write_deep_family(folder: Path) -> Path:
    """Write base and two experts with the bundled layers, again and again; the sets beside them.

    Per layer that is 64 coefficients, once those of embeddings and norm are fixed.
    """
    for model in _MODELS:
        shutil.copytree(FAMILY / model, folder / model)
        _deepen(folder / model)
    for name in ("safety.jsonl", "domain.jsonl"):
        shutil.copy(FAMILY / name, folder / name)
    return folder


def _deepen(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    tensors = load_file(model / "model.safetensors")
    found = {name: tensor for name, tensor in tensors.items() if not name.startswith("model.layers.")}
    for layer in range(N_LAYERS):
        source = f"model.layers.{layer % config['num_hidden_layers']}."
        for name in (name for name in tensors if name.startswith(source)):
            found[name.replace(source, f"model.layers.{layer}.")] = tensors[name].clone()
    save_file(found, model / "model.safetensors", metadata={"format": "pt"})
    (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": N_LAYERS}))
