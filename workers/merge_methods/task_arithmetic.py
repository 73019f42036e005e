"""Task arithmetic: the base plus weighted task vectors."""

from __future__ import annotations

from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import combine_linearly
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors

_NOTHING = 1e-8


class TaskArithmetic(MergeMethod):
    """θ = θ_base + Σ λ_i τ_i with τ_i = θ_i - θ_base; with `normalize`, λ_i / Σ λ_j.

    Ilharco et al. 2023, arXiv:2212.04089, section 4. It is computed as (1 - Σ λ_i) θ_base + Σ λ_i θ_i:
    one pass, no task vector is ever built, and a lone expert of weight 1 comes out exactly.
    """

    signature = METHOD_SIGNATURES["task_arithmetic"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        weights = list(parameters.values("weight"))
        total = sum(weights)
        if parameters.normalize and abs(total) >= _NOTHING:
            weights = [weight / total for weight in weights]
        combine_linearly((tensors.base, *tensors.experts), [1 - sum(weights), *weights], out)
