"""A digest of every byte on which a model's answers depend: computed once per node, and kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from workers.cache_folder import cache_folder
from workers.checkpoints.fingerprint import DECIDING_FILES, weight_files
from workers.checkpoints.header import CheckpointHeader

# Of a file, each hashed by a thread of its own: one alone is slower than a good disk.
_PART_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_MAX_THREADS = 8


def content_digest(header: CheckpointHeader) -> str:
    """A digest of a model's weights, configuration and tokenizer, wherever they lie; of its adapter as well.

    Unlike `fingerprint` it is of every byte. What was computed for a file is kept under its path, and holds while size,
    time of change and inode are the same; whoever else asks for it meanwhile waits.
    """
    digest = hashlib.sha256()
    for path in (*weight_files(header), *_deciding_files(header)):
        digest.update(f"{path.name} {file_digest(path)}\n".encode())
    return digest.hexdigest()


def _deciding_files(header: CheckpointHeader) -> Iterator[Path]:
    """The base's configuration beside a tokenizer that may be an adapter's."""
    for name in DECIDING_FILES:
        folder = header.folder if name.endswith("config.json") else header.tokenizer_folder
        if (folder / name).is_file():
            yield folder / name


def file_digest(path: Path) -> str:
    """A digest of a file's content, from the cache where it holds that of the file as it is."""
    path = path.resolve()
    kept = cache_folder("digests") / f"{hashlib.sha256(str(path).encode()).hexdigest()[:40]}.json"
    state = _state(path)
    if (found := _read(kept, state)) is not None:
        return found
    with _locked(kept.with_suffix(".lock")):
        if (found := _read(kept, state)) is None:  # another process may have been faster
            found = hash_file(path)
            _write(kept, state, found)
    return found


def hash_file(path: Path, n_threads: int | None = None) -> str:
    """SHA-256 over the SHA-256 of each part of a file, so that threads can share it."""
    starts = range(0, path.stat().st_size, _PART_BYTES)
    with ThreadPoolExecutor(n_threads or min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        parts = threads.map(lambda start: _hash_part(path, start), starts)
        return hashlib.sha256(b"".join(parts)).hexdigest()


def _hash_part(path: Path, start: int) -> bytes:
    digest, left = hashlib.sha256(), _PART_BYTES
    with path.open("rb") as file:
        file.seek(start)
        while left and (piece := file.read(min(left, _READ_BYTES))):
            digest.update(piece)
            left -= len(piece)
    return digest.digest()


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev]


def _read(kept: Path, state: list[int]) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):  # not there, torn, or closed to us
        values = json.loads(kept.read_text(encoding="utf-8"))
        return str(values["digest"]) if values["state"] == state else None
    return None


def _write(kept: Path, state: list[int], digest: str) -> None:
    part = kept.with_suffix(f".part-{uuid.uuid4().hex}")
    with suppress(OSError):  # without a cache it takes longer, and that is all
        part.write_text(json.dumps({"state": state, "digest": digest}), encoding="utf-8")
        part.replace(kept)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Among the processes of a node; where no file can be written there, all of them compute."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, or its process ends
        yield
