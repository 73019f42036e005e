"""A checkpoint's header from its configuration alone: the tensors that its files would announce, and no weights."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

from search_spaces.errors import CheckpointError
from workers.checkpoints.header import CheckpointHeader, TensorHeader, read_json

# torch's names of dtypes → safetensors'.
_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}
# Of no file.
_UNWRITTEN = "none"


def header_of_config(path: str | Path) -> CheckpointHeader:
    """What the safetensors files of a causal language model would hold.

    transformers builds the model without memory (on torch's device `meta`) and names its parameters as it would in
    saving them: a mixture's experts are apart, and what is tied comes once.

    Args:
        path: a Hugging Face `config.json`; or a folder that holds one.

    Raises:
        CheckpointError: there is none, or it is of no causal language model that transformers knows.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    read_json(path)  # refuses what is none, in our words
    model = _model_without_memory(path)
    tensors = {
        name: TensorHeader(_UNWRITTEN, _DTYPES[str(place.dtype).removeprefix("torch.")], tuple(place.shape))
        for name, place in _as_saved(model).items()
    }
    return CheckpointHeader(path.parent, _spelled_out(model), tensors)


def _model_without_memory(path: Path) -> Any:
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    # Whatever of its numbers does not go together, each architecture says in its own way.
    unfit = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError)
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM
            return model.from_config(config, trust_remote_code=False)
    except (StrictDataclassError, *unfit) as error:
        # Some of these name every architecture that there is.
        reason = shorten(str(error) or repr(error), 240, placeholder=" …")
        raise CheckpointError(
            f"'{path}' must be the configuration of a causal language model that transformers knows, but: {reason}"
        ) from None


def _as_saved(model: Any) -> dict[str, Any]:
    from transformers.core_model_loading import revert_weight_conversion

    saved: dict[str, Any] = revert_weight_conversion(model, dict(model.named_parameters()))
    return saved


def _spelled_out(model: Any) -> dict[str, Any]:
    """The configuration with what its file leaves to transformers' defaults; of several parts, that of the text."""
    text: dict[str, Any] = model.config.get_text_config().to_dict()
    return text | {
        "architectures": [type(model).__name__],
        "tie_word_embeddings": bool(getattr(model.config, "tie_word_embeddings", False)),
    }
