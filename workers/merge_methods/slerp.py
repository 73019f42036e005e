"""Spherical interpolation between two models, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import mix
from workers.merge_kernels.one_thread import one_thread
from workers.merge_kernels.pull_back import difference_products, products
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.parameter_gradients import ParameterGradients

# Above it the angle is too small to divide by its sine: the arc is a straight line (as in mergekit).
_PARALLEL = 0.9995
# A shorter tensor counts as a point, not a direction.
_POINT = 1e-8
# Elements per step. The cosine's last bits depend on it, and they are mergekit's with mergekit's step.
_BLOCK = 1 << 20


class Slerp(MergeMethod):
    """θ = sin((1-t)Ω)/sin Ω · θ_1 + sin(tΩ)/sin Ω · θ_2, where Ω is the angle between the two tensors.

    Shoemake 1985, doi:10.1145/325165.325242, section 3.3, on tensors seen as vectors; the angle depends on
    the checkpoints alone and is measured once. Parallel tensors are interpolated linearly.
    """

    signature = METHOD_SIGNATURES["slerp"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        mix(tensors.pair, _scalars(parameters.experts[-1]["t"], _cosine_of(tensors)), out)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        first, second = tensors.pair
        a, b = _scalar_slopes(parameters.experts[-1]["t"], _cosine_of(tensors))
        (along,) = products(gradient, (first,))
        (across,) = difference_products(gradient, first, (second,))
        return ParameterGradients.of_pair("t", (a + b) * along + b * across, len(tensors.experts))


def _cosine_of(tensors: SourceTensors) -> float:
    return tensors.kept("cosine of the pair", lambda: _cosine(*tensors.pair))


def _scalars(t: float, cosine: float) -> tuple[float, float]:
    """The factors of the two models, in float32 as mergekit has them."""
    share = torch.tensor(t)
    if abs(cosine) > _PARALLEL:
        return float(1 - share), float(share)
    omega = torch.acos(torch.tensor(cosine))
    return float(torch.sin((1 - share) * omega) / torch.sin(omega)), float(torch.sin(share * omega) / torch.sin(omega))


def _scalar_slopes(t: float, cosine: float) -> tuple[float, float]:
    """d/dt of `_scalars`."""
    if abs(cosine) > _PARALLEL:
        return -1.0, 1.0
    omega = math.acos(cosine)
    return -omega * math.cos((1 - t) * omega) / math.sin(omega), omega * math.cos(t * omega) / math.sin(omega)


@one_thread()
def _cosine(first: Tensor, second: Tensor) -> float:
    """Of the angle between two tensors, in float32."""
    lengths = [_length(first), _length(second)]
    pieces = [((a / lengths[0]) * (b / lengths[1])).sum(dim=1, keepdim=True) for a, b in _blocks(first, second)]
    return float(torch.stack(pieces).sum(dim=0).clamp(-1, 1)) if pieces else 1.0


def _length(tensor: Tensor) -> Tensor:
    pieces = [torch.linalg.vector_norm(part, dim=1, keepdim=True) for part, _ in _blocks(tensor, tensor)]
    length = torch.linalg.vector_norm(torch.stack(pieces), dim=0) if pieces else torch.zeros(1, 1)
    return torch.where(length > _POINT, length, 1.0)


def _blocks(first: Tensor, second: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Parts of both as float32 rows, `1 x n` each."""
    a, b = first.reshape(1, -1), second.reshape(1, -1)
    for start in range(0, a.shape[1], _BLOCK):
        yield a[:, start : start + _BLOCK].float(), b[:, start : start + _BLOCK].float()
