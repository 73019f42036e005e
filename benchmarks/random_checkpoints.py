"""Random checkpoints of any shape, written shard by shard: a model that is never whole in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from zlib import crc32

import torch
from safetensors.torch import save_file
from torch import Tensor

from workers.checkpoints.config_header import header_of_config
from workers.checkpoints.header import INDEX_FILE, CheckpointHeader

_SHARD_BYTES = 512 * 2**20
# Any that knows fewer tokens than the shape.
_TOKENS_OF = Path(__file__).parents[1] / "service" / "demo" / "tiny_family" / "base"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def write_family(config: Path, folder: Path, experts: tuple[str, ...]) -> dict[str, Path]:
    """A base and experts a little way from it, in the configuration's dtype; what is there already stays.

    Returns:
        Model name → folder, base first.
    """
    folders = {name: folder / name for name in ("base", *experts)}
    header = header_of_config(config)
    for number, target in enumerate(folders.values()):
        if not (target / INDEX_FILE).is_file():
            _write(header, config, target, number)
    return folders


def _write(header: CheckpointHeader, config: Path, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config.read_text())
    for file in _TOKENIZER:
        shutil.copy(_TOKENS_OF / file, folder / file)
    weight_map: dict[str, str] = {}
    for turn, names in enumerate(_shards(header)):
        file = f"model-{turn:05d}.safetensors"
        save_file({name: _tensor(header, name, number) for name in names}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    index: Mapping[str, object] = {"metadata": {"total_size": header.size_bytes}, "weight_map": weight_map}
    # Last: a folder with an index is whole.
    (folder / INDEX_FILE).write_text(json.dumps(index))


def _shards(header: CheckpointHeader) -> Iterator[list[str]]:
    names: list[str] = []
    size_bytes = 0
    for name, tensor in header.tensors.items():
        if names and size_bytes + tensor.size_bytes > _SHARD_BYTES:
            yield names
            names, size_bytes = [], 0
        names.append(name)
        size_bytes += tensor.size_bytes
    yield names


def _tensor(header: CheckpointHeader, name: str, number: int) -> Tensor:
    """The base's numbers, and beside them an expert's own noise; norms are about 1."""
    shape, seed = header.tensors[name].shape, crc32(name.encode())
    found = torch.empty(shape).normal_(0, 0.02, generator=torch.Generator().manual_seed(seed))
    if number:
        noise = torch.empty(shape).normal_(0, 1e-3, generator=torch.Generator().manual_seed(seed + 7919 * number))
        found += noise
    if len(shape) == 1:
        found += 1
    return found.to(torch.bfloat16)
