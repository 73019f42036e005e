"""A LoRA adapter in PEFT's format: what it adds to which tensors of a base, read without torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.errors import CheckpointError, IncompatibleModelsError
from workers.checkpoints.header import CheckpointHeader, TensorHeader, is_head, read_json, read_tensors

CONFIG_FILE = "adapter_config.json"
TENSORS_FILE = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<kind>|embedding_)(?P<side>[AB])(?:\.weight)?")
# PEFT's wrappers around a module that is trained whole, or whose bias is.
_WRAPPER = re.compile(r"\.(?:base_layer|modules_to_save(?:\.default)?)(?=\.)")
# Linear layers whose weights are stored inputs first.
_INPUTS_FIRST = re.compile(r"\.(?:c_attn|c_proj|c_fc|q_attn)$")
_INPUTS_FIRST_TYPES = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
# Keys of the configuration under which an adapter is more than a product of two matrices that is added → its name.
_REFUSED = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "lora_bias": "a bias of the low-rank part",
    "alora_invocation_tokens": "an activated LoRA",
    "arrow_config": "an Arrow router",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "velora_config": "VeLoRA",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "single trained tokens",
    "target_parameters": "low-rank parts of bare parameters",
}
# Initialisations that change the base's weights as well; the others only choose where training starts.
_CHANGES_BASE = ("corda", "loftq", "lora_ga", "olora", "pissa")


@dataclass(frozen=True, slots=True)
class LowRankPart:
    """`scale` · B A, which is added to one tensor.

    Args:
        a: the adapter's tensor A, `rank x inputs`.
        b: the adapter's tensor B, `outputs x rank`.
        rank: that the configuration says.
        scale: the factor.
        is_transposed: the base stores inputs first: (B A)ᵀ is added.
    """

    a: str
    b: str
    rank: int
    scale: float
    is_transposed: bool


@dataclass(frozen=True, slots=True)
class AdapterHeader:
    """An adapter's files.

    Args:
        folder: of the files.
        config: as PEFT wrote it.
        tensors: by PEFT's names.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorHeader]

    @property
    def low_rank(self) -> dict[str, dict[str, str]]:
        """Module → `A` and `B` → the adapter's tensor; `kind` says whether the module is an embedding."""
        found: dict[str, dict[str, str]] = {}
        for name in self.tensors:
            if match := _FACTOR.fullmatch(_bare(name)):
                found.setdefault(match["module"], {"kind": match["kind"]})[match["side"]] = name
        return found

    def scale(self, module: str) -> float:
        """alpha / r of a module, or alpha / √r; both may be given for single modules."""
        alpha = float(_by_pattern(self.config.get("alpha_pattern"), module, self.config.get("lora_alpha", 8)))
        rank = self.rank(module)
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def rank(self, module: str) -> int:
        """r of a module."""
        return int(_by_pattern(self.config.get("rank_pattern"), module, self.config.get("r", 8)))


def read_adapter(folder: Path) -> AdapterHeader:
    """Read an adapter's configuration and tensor headers.

    Raises:
        CheckpointError: the folder holds no LoRA adapter in safetensors, or one that is more than that.
    """
    if not folder.is_dir():
        raise CheckpointError(f"An adapter must be a folder, but '{folder}' is not there. Check the path.")
    config = read_json(folder / CONFIG_FILE)
    _check_config(folder, config)
    if not (folder / TENSORS_FILE).is_file():
        pickle = next((path.name for path in sorted(folder.glob("*.bin"))), None)
        holds = f"the pickle '{pickle}', which can run code when it is loaded and is never opened" if pickle else "none"
        raise CheckpointError(
            f"An adapter must hold {TENSORS_FILE}, but '{folder}' holds {holds}. Save it again with PEFT: "
            "`save_pretrained(folder)` writes safetensors."
        )
    header = AdapterHeader(folder, config, read_tensors(folder, TENSORS_FILE))
    _check_tensors(header)
    return header


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"An adapter must have `peft_type: LORA`, but '{folder}' has {kind}, which is not folded."
        )
    try:
        alpha, rank = float(config.get("lora_alpha", 8)), int(config.get("r", 8))
    except (TypeError, ValueError):
        raise CheckpointError(f"'{folder / CONFIG_FILE}' must have numbers as `r` and `lora_alpha`.") from None
    try:
        for key in ("rank_pattern", "alpha_pattern"):
            for pattern, value in (config.get(key) or {}).items():
                re.compile(pattern)
                float(value)
    except (re.error, AttributeError, TypeError, ValueError):
        raise CheckpointError(f"`{key}` in '{folder / CONFIG_FILE}' must map patterns to numbers.") from None
    if rank < 1 or not math.isfinite(alpha):
        raise CheckpointError(f"'{folder / CONFIG_FILE}' must have `r` of 1 or more, but has r {rank}, alpha {alpha}.")
    odd = [(key, name) for key, name in _REFUSED.items() if config.get(key)]
    start = str(config.get("init_lora_weights", True)).lower()
    if start.startswith(_CHANGES_BASE):
        odd.append(("init_lora_weights", f"'{start}', which changes the base"))
    if odd:
        key, name = odd[0]
        raise CheckpointError(
            f"An adapter must be a plain LoRA, but '{folder}' has {name} (`{key}`), which is not folded here. Merge it "
            "into its base with PEFT's `merge_and_unload()`, save that, and name its folder."
        )


def _check_tensors(adapter: AdapterHeader) -> None:
    strange = [name for name in adapter.tensors if not name.startswith(_PREFIX) or "lora_magnitude_vector" in name]
    strange += [f"{module}.lora_* without A or B" for module, sides in adapter.low_rank.items() if len(sides) < 3]
    if strange or not adapter.tensors:
        raise CheckpointError(
            f"'{adapter.folder / TENSORS_FILE}' must hold pairs of LoRA matrices, but holds "
            f"{', '.join(strange[:3]) or 'no tensor'}."
        )


def adapted_header(base: CheckpointHeader, adapter: AdapterHeader) -> CheckpointHeader:
    """The base as it is with an adapter folded in.

    Raises:
        IncompatibleModelsError: the adapter was made for another base, whose tensors take its parts.
    """
    whole = whole_tensors(base, adapter)
    offending = [f"{target} is not in the base" for target in whole if not _has_place(base, target)]
    placed = {target: name for target, name in whole.items() if _has_place(base, target)}
    tensors = {**base.tensors, **{target: _stored_as(base, target, adapter.tensors[n]) for target, n in placed.items()}}
    offending += _offending_parts(tensors, adapter, low_rank_parts(base, adapter))
    if offending:
        made_for = adapter.config.get("base_model_name_or_path")
        more = f" (and {len(offending) - 3} more)" if len(offending) > 3 else ""
        hint = f" It says that it was made for '{made_for}'." if made_for else ""
        raise IncompatibleModelsError(
            f"The adapter '{adapter.folder}' must fit the model '{base.folder}', but {'; '.join(offending[:3])}{more}."
            f"{hint} Name its own base beside it: `{{model: …, adapter: …}}`."
        )
    own_head = base.is_tied and any(map(is_head, whole))
    config = {**base.config, "tie_word_embeddings": False} if own_head else base.config
    return replace(base, config=config, tensors=tensors, adapter=adapter)


def whole_tensors(base: CheckpointHeader, adapter: AdapterHeader) -> dict[str, str]:
    """Base tensor → the adapter's tensor in its place: biases, and modules that were trained whole."""
    names = (name for name in adapter.tensors if _FACTOR.fullmatch(_bare(name)) is None)
    return {_target(base, _WRAPPER.sub("", _bare(name))): name for name in names}


def _target(base: CheckpointHeader, name: str) -> str:
    """The name in the base's files; a head may have another one there than in its model."""
    return base.head if is_head(name) and base.head and name.endswith(".weight") else name


def _stored_as(base: CheckpointHeader, target: str, tensor: TensorHeader) -> TensorHeader:
    """In the dtype of what it stands for; a head of its own in that of the embeddings, which it was a copy of."""
    like = base.tensors[target if target in base.tensors or not base.embeddings else base.embeddings]
    return replace(tensor, dtype=like.dtype, file=like.file)


def low_rank_parts(base: CheckpointHeader, adapter: AdapterHeader) -> dict[str, LowRankPart]:
    """Base tensor → what is added to it."""
    inputs_first = str(base.config.get("model_type")) in _INPUTS_FIRST_TYPES
    return {
        _target(base, f"{module}.weight"): LowRankPart(
            sides["A"],
            sides["B"],
            adapter.rank(module),
            adapter.scale(module),
            # PEFT's own A of an embedding is `rank x tokens`, and its weight `tokens x hidden`.
            sides["kind"] == "embedding_" or (inputs_first and _INPUTS_FIRST.search(module) is not None),
        )
        for module, sides in adapter.low_rank.items()
    }


def _offending_parts(
    tensors: Mapping[str, TensorHeader], adapter: AdapterHeader, parts: Mapping[str, LowRankPart]
) -> Iterator[str]:
    for target, part in parts.items():
        a, b = adapter.tensors[part.a].shape, adapter.tensors[part.b].shape
        if not len(a) == len(b) == 2 or not a[0] == b[1] == part.rank:
            yield f"{target} has A of {_told(a)} and B of {_told(b)} at rank {part.rank}"
            continue
        shape = (a[1], b[0]) if part.is_transposed else (b[0], a[1])
        if target not in tensors:
            yield f"{target} is not in the base"
        elif tensors[target].shape != shape:
            yield f"{target} is {_told(tensors[target].shape)} and not {_told(shape)}"


def _has_place(base: CheckpointHeader, target: str) -> bool:
    return target in base.tensors or (base.is_tied and is_head(target))


def _bare(name: str) -> str:
    return name.removeprefix(_PREFIX)


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """The value of the first pattern that matches the end of a module's name, as PEFT reads them."""
    found = (value for pattern, value in (patterns or {}).items() if re.match(rf"(.*\.)?({pattern})$", module))
    return next(found, default)


def _told(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))
