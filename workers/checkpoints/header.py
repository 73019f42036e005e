"""What a checkpoint holds, read from its headers: names, shapes, dtypes and configuration, without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from search_spaces.errors import CheckpointError
from search_spaces.model_reference import ModelReference

if TYPE_CHECKING:
    from workers.checkpoints.adapter import AdapterHeader
    from workers.checkpoints.vocabulary import MergedVocabulary

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"

# Heads, and the embeddings that they may be tied to: Llama and kin, GPT-NeoX, GPT-2, BLOOM and Falcon.
_HEAD = re.compile(r"^(?:lm_head|embed_out)\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:embed_tokens|embed_in|wte|word_embeddings)\.weight$")
# Model types whose configuration ties the two where it does not say.
_TIED_BY_DEFAULT = ("bloom", "cohere", "falcon", "gemma", "gpt2", "gpt_bigcode", "opt")
# What older versions of transformers stored beside weights: causal masks and rotary frequencies, which models compute.
_NO_WEIGHT = re.compile(r"\.(?:attention|attn)\.(?:masked_)?bias$|\brotary_emb\.inv_freq$")

# safetensors' names of dtypes that a weight can have → bytes per element.
_FLOAT_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """One tensor as its file announces it.

    Args:
        file: the safetensors file's name in the folder.
        dtype: in safetensors' words: `BF16`, `F16`, `F32`, …
        shape: of the tensor.
    """

    file: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def n_elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it can be merged; integers and booleans are copied from the base."""
        return self.dtype in _FLOAT_SIZES

    @property
    def size_bytes(self) -> int:
        """Its size in the file (4 bytes an element for a dtype that is no float)."""
        return self.n_elements * _FLOAT_SIZES.get(self.dtype, 4)


@dataclass(frozen=True, slots=True)
class CheckpointHeader:
    """A model's configuration and tensors.

    Args:
        folder: of its files.
        config: of the model.
        tensors: by name; with an adapter, as they are once it is folded in.
        adapter: that is folded in.
        vocabulary: of the merge, where its tensors have the rows of that.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorHeader]
    adapter: AdapterHeader | None = None
    vocabulary: MergedVocabulary | None = None

    @property
    def reference(self) -> ModelReference:
        """The model by its folders on this machine."""
        return ModelReference(
            str(self.folder.resolve()), adapter=str(self.adapter.folder.resolve()) if self.adapter else None
        )

    @property
    def tokenizer_folder(self) -> Path:
        """Where its tokenizer lies: with the adapter, where that brings one."""
        own = self.adapter and (self.adapter.folder / "tokenizer.json").is_file()
        return self.adapter.folder if self.adapter and own else self.folder

    @property
    def files(self) -> tuple[str, ...]:
        """The safetensors files."""
        return tuple(sorted({tensor.file for tensor in self.tensors.values()}))

    @property
    def weights(self) -> dict[str, TensorHeader]:
        """The tensors that make the model, in order; a head that is tied to the embeddings is none of them."""
        is_tied = self.is_tied  # asked once: it looks through all names
        return {
            name: tensor
            for name, tensor in sorted(self.tensors.items())
            if not _NO_WEIGHT.search(name) and not (is_tied and is_head(name))
        }

    @property
    def merged_names(self) -> tuple[str, ...]:
        """The tensors that a merge writes: the weights that are floats."""
        return tuple(name for name, tensor in self.weights.items() if tensor.is_float)

    @property
    def is_tied(self) -> bool:
        """Whether embeddings and head are one."""
        default = str(self.config.get("model_type", "")).startswith(_TIED_BY_DEFAULT) or self.head is None
        return bool(self.config.get("tie_word_embeddings", default))

    @property
    def head(self) -> str | None:
        """The name of the stored head, tied or not."""
        return next((name for name in self.tensors if is_head(name) and name.endswith(".weight")), None)

    @property
    def embeddings(self) -> str | None:
        """The name of the token embeddings."""
        return next((name for name in self.tensors if _EMBEDDINGS.search(name)), None)

    @property
    def n_parameters(self) -> int:
        """Elements of all tensors together."""
        return sum(tensor.n_elements for tensor in self.tensors.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(tensor.size_bytes for tensor in self.tensors.values())

    @property
    def architecture(self) -> str:
        """The model class that the configuration names."""
        architectures = self.config.get("architectures") or [self.config.get("model_type", "unknown")]
        return str(architectures[0])


def is_head(tensor_name: str) -> bool:
    """Whether a tensor turns hidden states into tokens."""
    return _HEAD.match(tensor_name) is not None


def read_header(folder: str | Path) -> CheckpointHeader:
    """Read a checkpoint's configuration and tensor headers.

    Args:
        folder: a Hugging Face model folder with `config.json` and one safetensors file, or shards
            with their index.

    Raises:
        CheckpointError: the folder, its configuration or a file is missing, truncated, or holds
            pickles in place of safetensors; those are refused, never read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"A model must be a folder, but '{folder}' is not there. Check the path under `models`.")
    config = read_json(folder / "config.json")
    tensors: dict[str, TensorHeader] = {}
    for file in _files(folder):
        tensors |= read_tensors(folder, file)
    return CheckpointHeader(folder, config, tensors)


def _files(folder: Path) -> list[str]:
    if (folder / INDEX_FILE).is_file():
        return _shards(folder / INDEX_FILE)
    if (folder / SINGLE_FILE).is_file():
        return [SINGLE_FILE]
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"'{folder}' must hold safetensors, but holds the pickle '{pickles[0]}', which can run code when it is "
            "loaded and is never opened here. Convert it: `model.save_pretrained(folder)` writes safetensors."
        )
    raise CheckpointError(f"'{folder}' must hold {SINGLE_FILE} or {INDEX_FILE}, but holds neither.")


def _shards(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    if not (isinstance(weight_map, dict) and weight_map and all(isinstance(name, str) for name in weight_map.values())):
        raise CheckpointError(f"'{index}' must hold a `weight_map` of tensor names to file names, but holds none.")
    names = sorted(set(weight_map.values()))
    elsewhere = [name for name in names if Path(name).name != name]
    if elsewhere:
        raise CheckpointError(f"'{index}' must name files of its own folder, but names '{elsewhere[0]}'.")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(f"'{index}' names shards that must be there, but lacks {', '.join(missing[:3])}.")
    return names


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object of a model folder.

    Raises:
        CheckpointError: the file is missing, or is no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"A model folder must hold {path.name}, but '{path}' is not there.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' must be readable JSON, but is not: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"'{path}' must hold a JSON object, but holds {type(values).__name__}.")
    return values


def read_tensors(folder: Path, file: str) -> dict[str, TensorHeader]:
    """The tensors of one safetensors file.

    Raises:
        CheckpointError: it is not whole, or no such file.
    """
    try:
        with safe_open(folder / file, framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  not a dict
            return {
                name: TensorHeader(file, part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"'{folder / file}' must be a whole safetensors file, but cannot be read ({error}). "
            "It may be truncated: copy or download it again."
        ) from None
