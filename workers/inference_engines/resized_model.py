"""The base's model with the tokens of a merge: other rows, another tokenizer, the ids that fit it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from search_spaces.merge_recipe import BASE
from workers.checkpoints.header import CheckpointHeader
from workers.checkpoints.vocabulary import TOKENIZER_FILE, MergedVocabulary
from workers.inference_engines.opening import load_engine

if TYPE_CHECKING:
    from workers.inference_engines.transformers_engine import TransformersEngine

# What a tokenizer is made of beside `tokenizer.json`; older forms of the same would speak of other tokens.
_TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def load_resized_engine(
    headers: Mapping[str, CheckpointHeader], dtype: str, device: str, max_batch_tokens: int
) -> TransformersEngine:
    """The transformers engine over a candidate whose embeddings and head have the rows of the merge.

    Args:
        headers: model name → header, base first; aligned to one vocabulary.
        dtype: see `load_engine`.
        device: see `load_engine`.
        max_batch_tokens: see `load_engine`.

    Raises:
        CheckpointError: see `load_engine`.
    """
    from workers.inference_engines.transformers_engine import TransformersEngine

    vocabulary = headers[BASE].vocabulary
    assert vocabulary is not None  # of what has been aligned
    model = load_engine(str(headers[BASE].folder), dtype, device, max_batch_tokens).model
    model.resize_token_embeddings(vocabulary.size, mean_resizing=False)
    if vocabulary.source != BASE:
        _take_ids(model, headers[vocabulary.source])
    tokenizer = _load_tokenizer(headers[vocabulary.source], headers[BASE], vocabulary)
    return TransformersEngine(model.eval().requires_grad_(False), tokenizer, max_batch_tokens)


def _take_ids(model: Any, source: CheckpointHeader) -> None:
    """Where a text begins and ends, by the ids of the tokenizer's own model."""
    from transformers import GenerationConfig

    for name in _IDS:
        setattr(model.config, name, source.config.get(name))
    has_own = (source.folder / "generation_config.json").is_file()
    model.generation_config = (
        GenerationConfig.from_pretrained(source.folder, local_files_only=True)
        if has_own
        else GenerationConfig.from_model_config(model.config)
    )


def _load_tokenizer(source: CheckpointHeader, base: CheckpointHeader, vocabulary: MergedVocabulary) -> Any:
    from transformers import AutoTokenizer

    with TemporaryDirectory(prefix="paretomerge-tokenizer-") as name:
        folder = Path(name)
        (folder / TOKENIZER_FILE).write_text(vocabulary.serialized, encoding="utf-8")
        # Which class reads it may depend on the kind of model.
        shutil.copyfile(base.folder / "config.json", folder / "config.json")
        for file in _TOKENIZER_FILES:
            if (source.tokenizer_folder / file).is_file():
                shutil.copyfile(source.tokenizer_folder / file, folder / file)
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
