"""Multi-SLERP: a weighted spherical average of any number of task vectors or models, in one step."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from search_spaces.errors import CandidateError
from workers.merge_kernels.one_thread import one_thread
from workers.merge_kernels.pull_back import difference_products, products, summed
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.parameter_gradients import ParameterGradients

_NOTHING = 1e-8


class MultiSlerp(MergeMethod):
    """One step of the weighted spherical average from the weighted mean direction, at the weighted mean length.

    Buss and Fillmore 2001, doi:10.1145/502122.502124, algorithm A1, stopped after its first step, with the tangents
    of orthogonal projection in place of the logarithm, as mergekit's `multislerp` has it. These tangents add up to
    nothing but rounding, so that θ = θ_base + Σ w_i |τ_i| · M / |M| with M = Σ w_i τ_i / |τ_i|: its slopes are taken.
    On task vectors, unless the recipe merges the models themselves. `normalize` divides the weights by their sum
    (`normalize_weights` there).
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

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        if len(tensors.experts) == 1:
            return ParameterGradients.of_weights([0.0])
        given, origin = parameters.values("weight"), tensors.base if parameters.task_vectors else None
        total = sum(given) if parameters.normalize else 1.0
        if origin is None:
            along = products(gradient, tensors.experts)
        else:
            along = difference_products(gradient, origin, tensors.experts)
        weights = torch.tensor(given, dtype=torch.float64) / total
        slopes = _slopes(weights, torch.tensor(along, dtype=torch.float64), _inner_products(tensors, origin))
        if parameters.normalize:
            slopes = (slopes - weights @ slopes) / total
        return ParameterGradients.of_weights(slopes.tolist())

    def is_constant(self, tensors: SourceTensors, parameters: GroupParameters) -> bool:
        """See `MergeMethod.is_constant`: without task vectors, lengths are weighed."""
        return parameters.task_vectors and tensors.is_unchanged


def _slopes(weights: Tensor, along: Tensor, inner: Tensor) -> Tensor:
    """d/d wᵢ of ⟨gradient, Σ wⱼ |pⱼ| · M / |M|⟩, `n_points`.

    Args:
        weights: `n_points`.
        along: ⟨gradient, pᵢ⟩ of every point, `n_points`.
        inner: ⟨pᵢ, pⱼ⟩, `n_points x n_points`.
    """
    lengths = inner.diagonal().sqrt()
    units = lengths + _NOTHING
    along_units, cosines = along / units, inner / units[:, None] / units
    mean_length = (weights @ cosines @ weights).clamp(min=0).sqrt()
    if mean_length < _NOTHING:
        return along  # a straight line: see `_between_opposites`
    by_mean = along_units / mean_length - (weights @ along_units) * (cosines @ weights) / mean_length**3
    return (weights @ lengths) * by_mean + lengths * (weights @ along_units) / mean_length


def _inner_products(tensors: SourceTensors, origin: Tensor | None) -> Tensor:
    """Of the points with each other, `n_points x n_points`, in float64 on the CPU."""
    n = len(tensors.experts)

    def of_block(_: Tensor, parts: list[Tensor], __: int) -> Tensor:
        points = torch.stack(parts if origin is None else [part - parts[0] for part in parts[1:]]).double()
        return (points @ points.T).view(-1)

    sources = tensors.experts if origin is None else (origin, *tensors.experts)

    def measured() -> Tensor:
        found = summed(of_block, tensors.base, sources) or [0.0] * n**2
        return torch.tensor(found, dtype=torch.float64).view(n, n)

    return tensors.kept(("inner products", origin is None), measured)


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
