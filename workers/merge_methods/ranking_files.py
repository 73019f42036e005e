"""Rankings too large for a worker's memory: files that all workers of a node map, and later searches find again."""

from __future__ import annotations

import hashlib
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from search_spaces.errors import CheckpointError
from workers.cache_folder import FOLDER_VARIABLE

# A file that no worker has opened for so long goes when the next one starts; one that is mapped stays readable.
_UNUSED_S = 7 * 24 * 3600


class RankingFiles:
    """A folder with a file for each ranking, named by all that it depends on.

    Args:
        folder: made where it is not there.
        size_bytes: what will be kept in it at most.

    Raises:
        CheckpointError: the folder cannot be written, or its disk has too little room.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_unused(folder)
            there = sum(path.stat().st_size for path in folder.glob("*.ranking"))
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise self._error(f"but cannot be: {error}") from None
        if size_bytes > free + there:
            raise self._error(f"which need {size_bytes / 2**30:.1f} GiB, but its disk has {free / 2**30:.1f} GiB left")

    def kept(self, key: str, sources: Sequence[Tensor], like: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """A ranking from its file, which is written first where it is not there; never write to it.

        Args:
            key: what is ranked, in words.
            sources: what the ranking depends on.
            like: of its dtype and shape; may be on torch's device `meta`.
            make: makes it.

        Raises:
            CheckpointError: the file cannot be written.
        """
        path = self._folder / f"{_digest(key, sources)}.ranking"
        try:
            if not path.exists():
                # Nobody else writes to this one; of two workers that make one ranking, the last one's stays.
                part = path.with_suffix(f".part-{uuid.uuid4().hex}")
                make().cpu().contiguous().view(-1).numpy().tofile(part)
                part.replace(path)
            path.touch()
            return torch.from_file(str(path), size=like.numel(), dtype=like.dtype).view(like.shape)
        except OSError as error:
            raise self._error(f"but cannot be: {error}") from None

    def _error(self, found: str) -> CheckpointError:
        return CheckpointError(
            f"The rankings of task vectors must be kept in '{self._folder}', {found}. Make room there, name another "
            f"folder in `{FOLDER_VARIABLE}`, or give workers more memory in `workers.cache_gib`."
        )


def _digest(key: str, sources: Sequence[Tensor]) -> str:
    """Of every byte: hashing costs a thirtieth of sorting. And of torch, whose sort decides between equals."""
    digest = hashlib.blake2b(f"{key} {torch.__version__} {torch.backends.cpu.get_cpu_capability()}".encode())
    for source in sources:
        digest.update(f"{source.device.type} {source.dtype} {tuple(source.shape)}".encode())
        digest.update(source.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:40]


def _remove_unused(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > _UNUSED_S:
            path.unlink(missing_ok=True)
