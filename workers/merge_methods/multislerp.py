"""Multi-SLERP: a weighted spherical average of any number of task vectors or models, in one step."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from search_spaces.errors import CandidateError
from workers.merge_kernels.one_thread import one_thread
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors

_NOTHING = 1e-8


class MultiSlerp(MergeMethod):
    """One step of the weighted spherical average from the weighted mean direction, at the weighted mean length.

    Buss and Fillmore 2001, doi:10.1145/502122.502124, algorithm A1, stopped after its first step, with the tangents
    of orthogonal projection in place of the logarithm, as mergekit's `multislerp` has it. On task vectors, unless
    the recipe merges the models themselves. `normalize` divides the weights by their sum (`normalize_weights` there).
    """

    signature = METHOD_SIGNATURES["multislerp"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        if len(tensors.experts) == 1:
            out.copy_(tensors.experts[0])
            return
        origin = tensors.base.float() if parameters.task_vectors else None
        points = torch.stack([expert.float() for expert in tensors.experts])
        if origin is not None:
            points -= origin
        weights = _weights(tensors, parameters, points)
        merged = _average(points.view(len(points), -1), weights, tensors.name).view(out.shape)
        out.copy_(merged if origin is None else merged + origin)


def _weights(tensors: SourceTensors, parameters: GroupParameters, points: Tensor) -> Tensor:
    given = parameters.values("weight")
    weights = torch.tensor(given, dtype=points.dtype, device=points.device)
    if not parameters.normalize:
        return weights
    if abs(float(weights.sum())) < _NOTHING:
        raise CandidateError(
            "zero_weights",
            "`multislerp` divides by the sum of the weights, which must not be 0; "
            f"got {list(given)} for '{tensors.name}'.",
        )
    return weights / weights.sum()


@one_thread()
def _average(points: Tensor, weights: Tensor, name: str) -> Tensor:
    """Of `n_points x n`."""
    lengths = torch.norm(points, dim=-1, keepdim=True)
    units = points / (lengths + _NOTHING)
    mean = (units * weights.view(-1, 1)).sum(0)
    mean_length = torch.norm(mean)
    if mean_length < _NOTHING:
        return _between_opposites(points, weights, name)
    mean /= mean_length
    tangents = units - (units * mean).sum(-1, keepdim=True) * mean
    tangent = (tangents * weights.view(-1, 1)).sum(0)
    angle = torch.norm(tangent) + _NOTHING
    direction = mean * torch.cos(angle) + tangent * (torch.sin(angle) / angle)
    merged: Tensor = direction * (lengths.squeeze(-1) * weights).sum()
    return merged


def _between_opposites(points: Tensor, weights: Tensor, name: str) -> Tensor:
    """Where the directions cancel out there is no mean one; between two of them lies a straight line."""
    if len(points) == 2:
        return points[0] * weights[0] + points[1] * weights[1]
    raise CandidateError(
        "zero_weights",
        f"`multislerp` needs directions that do not cancel out under their weights, but those of '{name}' do.",
    )
