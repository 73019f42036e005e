"""Sources on another device, tensor by tensor: the next one is copied while this one is merged.

Written for CUDA and run on CPUs only, where the same copies are made without streams and pinned memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from workers.merge_methods import SourceTensors

_T = TypeVar("_T")
# Two: one is merged while the other is filled.
_N_BUFFERS = 2
# Of the parts of a buffer: views of a wider dtype begin at multiples of its size.
_ALIGNMENT = 64


class StreamedSources:
    """Copies through two buffers of pinned memory, so that the checkpoints stay mapped and shared.

    Args:
        device: where sources are wanted.
        size_bytes: of a buffer: the largest tensor's in all models.
    """

    def __init__(self, device: str, size_bytes: int) -> None:
        self._device = torch.device(device)
        self._is_cuda = self._device.type == "cuda"
        self._buffers = [
            torch.empty(size_bytes, dtype=torch.uint8, pin_memory=self._is_cuda) for _ in range(_N_BUFFERS)
        ]
        self._copied: list[Any] = [None] * _N_BUFFERS
        new_stream: Any = torch.cuda.Stream
        self._stream: Any = new_stream(self._device) if self._is_cuda else None
        self._turn = 0

    def over(self, pairs: Iterable[tuple[SourceTensors, _T]]) -> Iterator[tuple[SourceTensors, _T]]:
        """The same with each tensor on the device, until the next one is asked for."""
        waiting: tuple[SourceTensors, int, _T] | None = None
        for tensors, other in pairs:
            following = (*self._start(tensors), other)
            if waiting is not None:
                yield self._wait(*waiting)
            waiting = following
        if waiting is not None:
            yield self._wait(*waiting)

    def one(self, tensors: SourceTensors) -> SourceTensors:
        """A single tensor on the device, out of turn."""
        return self._wait(*self._start(tensors), None)[0]

    def _start(self, tensors: SourceTensors) -> tuple[SourceTensors, int]:
        turn = self._turn = (self._turn + 1) % _N_BUFFERS
        if self._copied[turn] is not None:
            self._copied[turn].synchronize()  # the buffer is free again
        staged = _staged((tensors.base, *tensors.experts), self._buffers[turn])
        with torch.cuda.stream(self._stream):
            base, *experts = (part.to(self._device, non_blocking=True) for part in staged)
            if self._is_cuda:
                self._copied[turn] = self._stream.record_event()
        return tensors.copied(base, tuple(experts)), turn

    def _wait(self, tensors: SourceTensors, turn: int, other: _T) -> tuple[SourceTensors, _T]:
        if self._is_cuda:
            merging = torch.cuda.current_stream(self._device)
            merging.wait_event(self._copied[turn])
            for tensor in (tensors.base, *tensors.experts):
                tensor.record_stream(merging)
        return tensors, other


def _staged(tensors: tuple[Tensor, ...], buffer: Tensor) -> Iterator[Tensor]:
    """Copies of tensors in a buffer, one behind the other."""
    start = 0
    for tensor in tensors:
        part = buffer[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        start += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
        yield part.copy_(tensor)


def buffer_bytes(tensors: Iterable[SourceTensors]) -> int:
    """What a buffer must hold for the largest of them."""
    sizes = ((t.base, *t.experts) for t in tensors)
    return max((sum(-(-part.nbytes // _ALIGNMENT) * _ALIGNMENT for part in parts) for parts in sizes), default=0)
