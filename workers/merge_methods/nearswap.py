"""NearSwap: move every element towards the other model, by a little at most."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels.pull_back import summed
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors
from workers.merge_methods.flat_blocks import flat_blocks
from workers.merge_methods.parameter_gradients import ParameterGradients

# Smaller differences count as this one, as in mergekit.
_SMALLEST = 1e-6


class NearSwap(MergeMethod):
    """θ = θ_1 + min(1, t / |θ_2 - θ_1|) · (θ_2 - θ_1): elements within t of each other become θ_2's.

    alchemonaut 2024, https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001, as mergekit's `nearswap` has it.
    """

    signature = METHOD_SIGNATURES["nearswap"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        t = parameters.experts[-1]["t"]
        for block, (first, second) in flat_blocks(tensors.pair, out):
            share = (t / (first - second).abs().clamp(min=_SMALLEST)).clamp(min=0, max=1)
            block.copy_(share * second + (1 - share) * first)

    def pull_back(self, tensors: SourceTensors, parameters: GroupParameters, gradient: Tensor) -> ParameterGradients:
        """See `MergeMethod.pull_back`."""
        t = parameters.experts[-1]["t"]

        def slope(block: Tensor, parts: list[Tensor], _: int) -> Tensor:
            difference = parts[1] - parts[0]
            distance = difference.abs().clamp(min=_SMALLEST)
            # What is within t has arrived.
            return (block @ torch.where(distance > t, difference / distance, 0))[None]

        (found,) = summed(slope, gradient, tensors.pair) or [0.0]
        return ParameterGradients.of_pair("t", found, len(tensors.experts))
