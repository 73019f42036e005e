"""Whether two folders hold the same weights, told without reading all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from workers.checkpoints.adapter import CONFIG_FILE, TENSORS_FILE
from workers.checkpoints.header import CheckpointHeader

# What decides a model's answers beside its weights.
DECIDING_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
# A fine-tune differs from its base nearly everywhere: a quarter of a megabyte tells them apart, however large they are.
_N_SAMPLES = 64
_SAMPLE_BYTES = 4096


def fingerprint(header: CheckpointHeader) -> str:
    """A digest of a checkpoint's files: of their sizes and samples spread evenly over each, not of their place.

    Of an adapter as well, where one is folded in.
    """
    digest = hashlib.sha256()
    for path in weight_files(header):
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for i in range(_N_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * i // (_N_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def weight_files(header: CheckpointHeader) -> tuple[Path, ...]:
    """All files on which a model's weights depend."""
    own = tuple(header.folder / name for name in header.files)
    if header.adapter is None:
        return own
    return (*own, header.adapter.folder / CONFIG_FILE, header.adapter.folder / TENSORS_FILE)
