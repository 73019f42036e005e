"""What TIES, DARE, DELLA and Breadcrumbs share: mask each task vector, perhaps elect signs, add."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from workers.merge_kernels import MaskedMerge, MaskedTaskVector, masked_norms, merge_masked
from workers.merge_kernels.pull_back import pull_back_masked
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.parameter_gradients import ParameterGradients

# Norms below it are not rescaled, as in mergekit.
_NOTHING = 1e-7


class SparseArithmetic(MergeMethod):
    """θ = θ_base + λ Σ w_i s_i (m_i ⊙ τ_i) / d, with τ_i = θ_i - θ_base.

    The members differ in how they choose the masks m_i. With `rescale`, s_i = |τ_i|₁ / |m_i ⊙ τ_i|₁ restores the
    task vector's size, as mergekit does; the papers on random masks divide by the density, which is the same on
    average. Where signs are elected (Yadav et al. 2023, arXiv:2306.01708, steps 2 and 3), an element adds only
    the contributions with the sign of their weighted sum. With `normalize`, d is the sum of the weights that
    contribute, else 1. The masks and the election are constant almost everywhere in the weights: a gradient
    takes them as given.
    """

    elect_sign: ClassVar[bool]

    @abstractmethod
    def mask(self, tensors: SourceTensors, expert: int, parameters: GroupParameters) -> MaskedTaskVector:
        """Which elements of one task vector stay, and its weight.

        Args:
            tensors: the parameter in every model.
            expert: index of the expert.
            parameters: the numbers of the group.
        """

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        merge_masked(tensors.base, tensors.experts, self._numbers(tensors, parameters), out)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`: straight through masks, rescaling and election."""
        merge = self._numbers(tensors, parameters)
        slopes, by_scale = pull_back_masked(tensors.base, tensors.experts, merge, gradient)
        return ParameterGradients.of_weights(slopes, **{"lambda": by_scale})

    def _numbers(self, tensors: SourceTensors, parameters: GroupParameters) -> MaskedMerge:
        vectors = [self.mask(tensors, expert, parameters) for expert in range(len(tensors.experts))]
        if parameters.shared["rescale"]:
            method = self.signature.name
            vectors = [_rescaled(tensors, expert, vector, method) for expert, vector in enumerate(vectors)]
        return MaskedMerge(
            tuple(vectors),
            elect_sign=self.elect_sign,
            normalize=parameters.normalize,
            scale=parameters.shared["lambda"],
        )


def _rescaled(tensors: SourceTensors, expert: int, vector: MaskedTaskVector, method: str) -> MaskedTaskVector:
    if vector.is_whole:
        return vector
    # Rankings are the method's and the expert's own: with them, these numbers say which elements stay.
    band, drop = vector.band, vector.drop
    mask = (band.first, band.last, drop.key, drop.density, drop.epsilon)

    def norms() -> tuple[float, float]:
        nonlocal vector
        whole, left, kept = masked_norms(tensors.base, tensors.experts[expert], vector)
        vector = replace(vector, kept=kept)
        return whole, left

    whole, left = tensors.kept_last(("norms", method, expert, band.is_open), mask, norms)
    return vector if whole < _NOTHING or left < _NOTHING else replace(vector, rescaling=whole / left)
