"""What a GPU's memory and the link to it move each second. Written for CUDA, and not run on a GPU yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

_SIZE_BYTES = 256 * 2**20
_N_COPIES = 5
_GB = 1e9


def device_gb_s(device: str = "cuda") -> float:
    """Of a copy within the device's memory, reading and writing counted."""
    source, target = (torch.ones(_SIZE_BYTES, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * _SIZE_BYTES / _GB / _seconds(device, lambda: target.copy_(source))


def link_gb_s(device: str = "cuda") -> float:
    """Of a copy from pinned memory to the device."""
    source = torch.ones(_SIZE_BYTES, dtype=torch.uint8, pin_memory=device.startswith("cuda"))
    target = torch.empty_like(source, device=device)
    return _SIZE_BYTES / _GB / _seconds(device, lambda: target.copy_(source, non_blocking=True))


def _seconds(device: str, copy: Callable[[], object]) -> float:
    def timed() -> float:
        started = time.perf_counter()
        copy()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    timed()  # the first one also starts the device
    return median(timed() for _ in range(_N_COPIES))
