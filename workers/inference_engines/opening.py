"""From a folder or an endpoint to something that answers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import CheckpointError
from workers.checkpoints.header import read_json
from workers.checkpoints.model_roots import on_this_node
from workers.collector_pause import collector_paused
from workers.inference_engines._base import TextGenerator
from workers.inference_engines.model_source import ModelSource

if TYPE_CHECKING:
    from workers.inference_engines.transformers_engine import TransformersEngine

# Of models beside the candidate; see `TransformersEngine`.
_MAX_BATCH_TOKENS = 4096
# How transformers names the architectures that label a text instead of writing one.
CLASSIFIER_SUFFIX = "ForSequenceClassification"


@collector_paused()
def load_checkpoint(folder: str, dtype: str, device: str) -> tuple[Any, Any]:
    """A causal language model in evaluation mode, and its tokenizer; never code from its folder, never the network.

    Args:
        folder: with safetensors, configuration and tokenizer.
        dtype: torch's name of it, or `auto` for the checkpoint's own.
        device: torch's name of it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    wanted = "auto" if dtype == "auto" else getattr(torch, dtype)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=wanted, use_safetensors=True, **options)
    return model.to(device).eval().requires_grad_(False), tokenizer


def load_engine(folder: str, dtype: str, device: str, max_batch_tokens: int = _MAX_BATCH_TOKENS) -> TransformersEngine:
    """The transformers engine over a checkpoint that is not merged; see `load_checkpoint`.

    Raises:
        CheckpointError: the folder holds no causal language model with a tokenizer.
    """
    from workers.inference_engines.transformers_engine import TransformersEngine

    try:
        return TransformersEngine(*load_checkpoint(folder, dtype, device), max_batch_tokens)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise CheckpointError(
            f"'{folder}' must hold a causal language model in safetensors with its tokenizer, but: {reason}"
        ) from error


def open_generator(source: ModelSource, device: str = "cpu") -> TextGenerator:
    """Whatever answers at a source.

    Args:
        source: a folder, see `on_this_node`, or an endpoint.
        device: where a model of a folder is loaded. On a CPU in float32, which is faster there than 16 bits.

    Raises:
        CheckpointError: see `load_engine`.
        GenerationError: the key for an endpoint cannot be used; whether it answers is seen when it is asked.
    """
    if source.endpoint:
        from workers.inference_engines.openai_engine import OpenAIEngine

        return OpenAIEngine(source)
    dtype, folder = "float32" if device == "cpu" else "auto", str(on_this_node(source.model))
    if is_classifier(folder):
        from workers.inference_engines.classifier_engine import load_classifier

        return load_classifier(folder, dtype, device)
    return load_engine(folder, dtype, device)


def is_classifier(folder: str) -> bool:
    """Whether a folder's configuration names a model that labels a text instead of writing one.

    Raises:
        CheckpointError: the configuration cannot be read.
    """
    path = Path(folder) / "config.json"
    # Without a configuration it is no model at all, and loading it says so.
    architectures = (read_json(path).get("architectures") if path.is_file() else None) or [""]
    return str(architectures[0]).endswith(CLASSIFIER_SUFFIX)


@lru_cache(maxsize=4)
def shared_generator(source: ModelSource, device: str = "cpu") -> TextGenerator:
    """The same, once per process: the scorers over several sets that ask one guard share it."""
    return open_generator(source, device)
