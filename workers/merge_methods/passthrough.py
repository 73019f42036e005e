"""Passthrough: one model as it is, or scaled."""

from __future__ import annotations

from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels.pull_back import products
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.flat_blocks import flat_blocks
from workers.merge_methods.parameter_gradients import ParameterGradients


class Passthrough(MergeMethod):
    """θ = scale · θ_1, as mergekit's `passthrough`; layers are not stacked, for the architecture stays."""

    signature = METHOD_SIGNATURES["passthrough"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        scale = parameters.experts[0]["scale"]
        for block, (part,) in flat_blocks(tensors.experts, out):
            block.copy_(part * scale)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        (slope,) = products(gradient, tensors.experts)
        return ParameterGradients.of_pair("scale", slope, len(tensors.experts))

    def is_constant(self, tensors: SourceTensors, parameters: GroupParameters) -> bool:
        """See `MergeMethod.is_constant`: a model is scaled, whatever the base is."""
        return False
