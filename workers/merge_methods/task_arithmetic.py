"""Task arithmetic: the base plus weighted task vectors."""

from __future__ import annotations

from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import MaskedMerge, MaskedTaskVector, merge_masked
from workers.merge_kernels.pull_back import pull_back_masked
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.parameter_gradients import ParameterGradients


class TaskArithmetic(MergeMethod):
    """θ = θ_base + λ Σ w_i τ_i with τ_i = θ_i - θ_base; with `normalize`, the sum is divided by Σ w_i.

    Ilharco et al. 2023, arXiv:2212.04089, section 4. One pass: no task vector is ever stored.
    """

    signature = METHOD_SIGNATURES["task_arithmetic"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        merge_masked(tensors.base, tensors.experts, _numbers(parameters), out)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        slopes, by_scale = pull_back_masked(tensors.base, tensors.experts, _numbers(parameters), gradient)
        return ParameterGradients.of_weights(slopes, **{"lambda": by_scale})


def _numbers(parameters: GroupParameters) -> MaskedMerge:
    return MaskedMerge(
        tuple(MaskedTaskVector(weight) for weight in parameters.values("weight")),
        normalize=parameters.normalize,
        scale=parameters.shared["lambda"],
    )
