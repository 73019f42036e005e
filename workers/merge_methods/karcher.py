"""Karcher mean: the point of the sphere that is nearest to all models at once."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels.one_thread import one_thread
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors


class Karcher(MergeMethod):
    """The Riemannian centre of mass of the experts' directions, at their mean length.

    Karcher 1977, doi:10.1002/cpa.3160300502; for language models arXiv:2603.04972: from the mean direction, steps
    along the mean of the logarithms, `max_iter` at most and until one is shorter than `tol`. Every expert counts
    alike, and the base has no part in it (name it among the experts to average it as well).
    """

    signature = METHOD_SIGNATURES["karcher"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        if len(tensors.experts) == 1:
            out.copy_(tensors.experts[0])
            return
        points = [expert.float() for expert in tensors.experts]
        out.copy_(_mean(points, int(parameters.shared["max_iter"]), parameters.shared["tol"]))


@one_thread()
def _mean(points: list[Tensor], max_iter: int, tol: float) -> Tensor:
    share = 1.0 / len(points)
    lengths = [torch.linalg.vector_norm(point) for point in points]
    long = [(p / n, n) for p, n in zip(points, lengths, strict=True) if n.item() > tol]
    if not long:
        return torch.zeros_like(points[0])
    units = [unit for unit, _ in long]
    # Those too short for a direction leave their share to the others.
    shares = share / sum([share] * len(units))
    mean = _first_guess(units, shares, tol)
    for _ in range(max_iter):
        tangent = _mean_logarithm(mean, units, shares, tol)
        length = torch.linalg.vector_norm(tangent)
        if length.item() < tol:
            break
        mean = torch.cos(length) * mean + torch.sin(length) * (tangent / length)
        mean_length = torch.linalg.vector_norm(mean)
        if mean_length.item() > tol:
            mean /= mean_length
    merged: Tensor = sum(share * length for length in lengths) * mean
    return merged


def _first_guess(units: list[Tensor], share: float, tol: float) -> Tensor:
    mean = torch.zeros_like(units[0])
    for unit in units:
        mean += share * unit
    length = torch.linalg.vector_norm(mean)
    return units[0].clone() if length.item() < tol else mean / length


def _mean_logarithm(mean: Tensor, units: list[Tensor], share: float, tol: float) -> Tensor:
    """The mean of the tangents at `mean` that lead to the points."""
    tangent = torch.zeros_like(mean)
    for unit in units:
        cosine = torch.clamp(torch.dot(mean.flatten(), unit.flatten()), -1.0, 1.0)
        angle = torch.arccos(cosine)
        if angle.item() >= tol:
            tangent += share * (angle / torch.sin(angle)) * (unit - cosine * mean)
    return tangent
