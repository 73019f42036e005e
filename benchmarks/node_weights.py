"""What a node pays for its copy of the weights: memory of several processes that map it, and a look at every byte.

A checkpoint of random weights is written to a temporary folder. So many processes map it and read all of it, as workers
do; their memory is read from /proc. Then its digest is computed, with the threads that a worker has for it, and again
from the cache. The file has just been written and so is in the page cache: a disk that is slower sets the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

_GIB = 2**30
_TENSOR_BYTES = 64 << 20


def write_checkpoint(folder: Path, size_gib: float) -> None:
    """Float32 tensors of 64 MiB each."""
    import torch
    from safetensors.torch import save_file

    n_tensors = max(1, round(size_gib * _GIB / _TENSOR_BYTES))
    save_file({f"tensor.{i}": torch.rand(_TENSOR_BYTES // 4) for i in range(n_tensors)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))


def read_all(folder: str, pipe: Connection) -> None:
    """Map the checkpoint, read every weight, say so, and stay until told to go."""
    from workers.checkpoints import MappedCheckpoint

    checkpoint = MappedCheckpoint(folder)
    tensors = [checkpoint.tensor(name) for name in checkpoint.header.tensors]
    pipe.send(sum(float(tensor.amax()) for tensor in tensors))
    pipe.recv()


@contextmanager
def readers(folder: Path, n_processes: int) -> Iterator[list[int]]:
    """Processes that have read it all."""
    context = get_context("spawn")
    pipes = [context.Pipe() for _ in range(n_processes)]
    processes = [context.Process(target=read_all, args=(str(folder), child)) for _, child in pipes]
    for process in processes:
        process.start()
    for parent, _ in pipes:
        parent.recv()
    try:
        yield [process.pid or 0 for process in processes]
    finally:
        for parent, _ in pipes:
            parent.send(None)
        for process in processes:
            process.join()


def mapped(process_id: int, folder: Path) -> tuple[int, int]:
    """Resident and proportional bytes of the checkpoint in a process."""
    maps = [m for m in psutil.Process(process_id).memory_maps(grouped=False) if m.path.startswith(str(folder))]
    return sum(m.rss for m in maps), sum(m.pss for m in maps)


def show_memory(folder: Path, n_processes: int) -> None:
    size = (folder / "model.safetensors").stat().st_size
    with readers(folder, n_processes) as process_ids:
        found = [mapped(process_id, folder) for process_id in process_ids]
    resident, proportional = (sum(column) / size for column in zip(*found, strict=True))
    print(f"{n_processes} processes map {size / _GIB:.2f} GiB and have read all of it:")
    print(f"  resident, shared pages counted in each of them: {resident:.2f} copies")
    print(f"  proportional, each page counted once:           {proportional:.2f} copies")


def show_digest(folder: Path) -> None:
    from workers.checkpoints import read_header
    from workers.checkpoints.content_digest import content_digest, hash_file

    size = (folder / "model.safetensors").stat().st_size
    for n_threads in (1, None):
        started = time.perf_counter()
        hash_file(folder / "model.safetensors", n_threads)
        rate = size / (time.perf_counter() - started) / 1e9
        threads = "1 thread" if n_threads else f"all threads (of {os.cpu_count()} cores)"
        print(f"digest of every byte, {threads}: {rate:.2f} GB/s")
    header = read_header(folder)
    content_digest(header)
    started = time.perf_counter()
    content_digest(header)
    print(f"digest of the same files again, from the cache: {1e3 * (time.perf_counter() - started):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=1.0, help="size of the checkpoint")
    parser.add_argument("--processes", type=int, default=4, help="workers of the node")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["PARETOMERGE_CACHE_DIR"] = str(Path(name) / "cache")
        write_checkpoint(folder := Path(name), given.gib)
        show_memory(folder, given.processes)
        show_digest(folder)


if __name__ == "__main__":
    main()
