"""What a merge in plain torch moves, as on a GPU: bytes read and written, and operations, counted on a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from search_spaces import METHOD_SIGNATURES, MergeRecipe, SearchSpace, SpaceOptions
from search_spaces.merge_recipe import BASE
from workers.merge_kernels.torch_kernels import BLOCK
from workers.merge_methods import MERGE_METHODS, GroupParameters, SourceTensors

# Two blocks of the kernels: what is done once for a tensor counts for little, as in a large one.
_SHAPE = (2 * BLOCK // 2048, 2048)


@dataclass(frozen=True, slots=True)
class MergeTraffic:
    """Per element of a candidate.

    Args:
        n_bytes: read and written by all operations.
        n_operations: that are launched one after the other.
    """

    n_bytes: float
    n_operations: float


def count_traffic(method: str, n_experts: int, source_bytes: int, dtype: str) -> MergeTraffic:
    """Count what a candidate takes whose numbers all differ from those of the one before.

    Args:
        method: a name in `METHOD_SIGNATURES`.
        n_experts: beside the base.
        source_bytes: of an element of the checkpoints.
        dtype: of the candidate: torch's name of it.
    """
    experts = {f"expert{k}": "" for k in range(n_experts)}
    space = SearchSpace(BASE, experts, ["x"], SpaceOptions(method, "tensor", dtype=dtype))
    draw = torch.Generator().manual_seed(0)
    # In a dtype that no fused loop takes: what runs is plain torch, and the arithmetic is a checkpoint's.
    base = torch.empty(_SHAPE, dtype=torch.float64).normal_(generator=draw)
    others = tuple(base + torch.empty_like(base).normal_(0, 0.1, generator=draw) for _ in experts)
    tensors, out = SourceTensors("x", base, others), torch.empty(_SHAPE, dtype=getattr(torch, dtype))
    for share in (0.4, 0.5):
        counted = _Counted((base, *others), source_bytes)
        with counted:  # the second time: what depends on the checkpoints alone is there
            MERGE_METHODS[method].merge(tensors, GroupParameters.of(_recipe(space, share), "x"), out)
    return MergeTraffic(counted.n_bytes / out.numel(), counted.n_operations / out.numel())


def _recipe(space: SearchSpace, share: float) -> MergeRecipe:
    bounds: Mapping[str, Any] = space.distributions()
    numbers = {name: found.low + share * (found.high - found.low) for name, found in bounds.items()}
    whole = [p.name for p in METHOD_SIGNATURES[space.options.method].all_parameters if p.is_whole]
    return space.decode({n: round(v) if n.rpartition("/")[2] in whole else v for n, v in numbers.items()})


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts inside its `with` block; a view is nothing."""

    def __init__(self, sources: Sequence[Tensor], source_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sources = {source.untyped_storage().data_ptr() for source in sources}
        self._source_bytes = source_bytes
        self.n_bytes, self.n_operations = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(found)
        places = {tensor.untyped_storage().data_ptr() for tensor in read}
        is_view = all(tensor.untyped_storage().data_ptr() in places for tensor in written)
        if not is_view or func._schema.is_mutable:
            self.n_bytes += sum(map(self._size, (*read, *written)))
            self.n_operations += 1
        return found

    def _size(self, tensor: Tensor) -> int:
        is_source = tensor.untyped_storage().data_ptr() in self._sources
        return tensor.numel() * (self._source_bytes if is_source else tensor.element_size())


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
