"""NuSLERP: spherical interpolation of two models' task vectors, or of the models, whole or by rows or columns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels.one_thread import one_thread
from workers.merge_kernels.pull_back import summed
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.flat_blocks import flat_blocks
from workers.merge_methods.parameter_gradients import ParameterGradients

# As in mergekit: weights that cancel out mean half way; shorter vectors are not normalised; below this sine two
# vectors are parallel.
_NO_WEIGHT, _SHORTEST, _PARALLEL = 1e-6, 1e-7, 1e-8


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which vectors of a tensor are interpolated."""

    flatten: bool
    by_column: bool
    task_vectors: bool

    @classmethod
    def of(cls, parameters: GroupParameters) -> _Layout:
        """As the numbers say."""
        shared = parameters.shared
        return cls(bool(shared["nuslerp_flatten"]), bool(shared["nuslerp_row_wise"]), parameters.task_vectors)

    def vectors(self, tensor: Tensor) -> Tensor:
        """The tensor with the vectors in its last dimension."""
        if self.flatten:
            return tensor.reshape(-1)
        return tensor.transpose(0, -1) if self.by_column else tensor

    def tensor(self, vectors: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of `vectors`."""
        swapped = self.by_column and not self.flatten
        return (vectors.transpose(0, -1) if swapped else vectors).reshape(shape)


class NuSlerp(MergeMethod):
    """θ = θ_base + slerp(τ_1, τ_2; t) with t = w_2 / (w_1 + w_2); without task vectors, slerp(θ_1, θ_2; t).

    Shoemake 1985, doi:10.1145/325165.325242, section 3.3, as mergekit's `nuslerp` applies it: to a whole tensor, or,
    without `nuslerp_flatten`, to the vectors of its last dimension (with `nuslerp_row_wise`, of its first).
    """

    signature = METHOD_SIGNATURES["nuslerp"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        layout = _Layout.of(parameters)
        cosine = _cosine_of(tensors, layout)
        if layout.flatten:
            _merge_whole(tensors, _share(parameters), cosine.to(out.device), out, task_vectors=layout.task_vectors)
            return
        first, second = _vectors(tensors, layout)
        merged = layout.tensor(_slerp(_share(parameters), first, second, cosine), tensors.base.shape)
        out.copy_(tensors.base.float() + merged if layout.task_vectors else merged)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        layout = _Layout.of(parameters)
        slope = _slope_whole if layout.flatten else _slope_of_vectors
        by_share = slope(tensors, layout, _share(parameters), gradient)
        first, second = parameters.values("weight")
        total = first + second
        if abs(total) < _NO_WEIGHT:
            return ParameterGradients.of_weights([0.0, 0.0])
        return ParameterGradients.of_weights([-by_share * second / total**2, by_share * first / total**2])


def _slope_whole(tensors: SourceTensors, layout: _Layout, t: float, gradient: Tensor) -> float:
    """⟨gradient, d merged / dt⟩ of a tensor that is one vector."""
    cosine = _cosine_of(tensors, layout).to(gradient.device)

    def slope(block: Tensor, parts: list[Tensor], _: int) -> Tensor:
        base, first, second = parts
        vectors = (first - base, second - base) if layout.task_vectors else (first, second)
        return (block @ _slerp_slope(t, *vectors, cosine.to(block.dtype)))[None]

    (found,) = summed(slope, gradient, (tensors.base, *tensors.experts)) or [0.0]
    return found


def _slope_of_vectors(tensors: SourceTensors, layout: _Layout, t: float, gradient: Tensor) -> float:
    first, second = _vectors(tensors, layout)
    slope = _slerp_slope(t, first, second, _cosine_of(tensors, layout))
    return float(torch.sum(layout.vectors(gradient) * slope, dtype=torch.float64))


def _merge_whole(tensors: SourceTensors, t: float, cosine: Tensor, out: Tensor, *, task_vectors: bool) -> None:
    """The same for a tensor that is one vector, in blocks."""
    for block, (base, first, second) in flat_blocks((tensors.base, *tensors.experts), out):
        if task_vectors:
            block.copy_(base + _slerp(t, first - base, second - base, cosine))
        else:
            block.copy_(_slerp(t, first, second, cosine))


def _share(parameters: GroupParameters) -> float:
    weights = parameters.values("weight")
    total = sum(weights)
    return 0.5 if abs(total) < _NO_WEIGHT else weights[1] / total


def _vectors(tensors: SourceTensors, layout: _Layout) -> tuple[Tensor, Tensor]:
    origin = tensors.base.float() if layout.task_vectors else None
    first, second = (expert.float() if origin is None else expert.float() - origin for expert in tensors.experts)
    return layout.vectors(first), layout.vectors(second)


def _cosine_of(tensors: SourceTensors, layout: _Layout) -> Tensor:
    return tensors.kept(("cosine of vectors", layout), lambda: _cosine(*_vectors(tensors, layout)))


@one_thread()
def _cosine(first: Tensor, second: Tensor) -> Tensor:
    """Of each pair of vectors; the last dimension becomes 1."""
    units = [v / torch.norm(v, dim=-1, keepdim=True).clamp(min=_SHORTEST) for v in (first, second)]
    return torch.sum(units[0] * units[1], dim=-1, keepdim=True).clamp(-1, 1)


def _slerp(t: float, first: Tensor, second: Tensor, cosine: Tensor) -> Tensor:
    parallel = (1 - cosine.square()) <= _PARALLEL**2
    if cosine.numel() == 1 and parallel:
        return (1 - t) * first + t * second
    omega = torch.acos(torch.where(parallel, 0, cosine))
    arc = (torch.sin((1 - t) * omega) * first + torch.sin(t * omega) * second) / torch.sin(omega)
    return arc if cosine.numel() == 1 else torch.where(parallel, (1 - t) * first + t * second, arc)


def _slerp_slope(t: float, first: Tensor, second: Tensor, cosine: Tensor) -> Tensor:
    """d/dt of `_slerp`."""
    parallel = (1 - cosine.square()) <= _PARALLEL**2
    omega = torch.acos(torch.where(parallel, 0, cosine))
    arc = (torch.cos(t * omega) * second - torch.cos((1 - t) * omega) * first) * omega / torch.sin(omega)
    return torch.where(parallel, second - first, arc)
