"""DARE on task arithmetic: drop random changes, rescale the rest, add."""

from __future__ import annotations

from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import DropMask, MaskedMerge, merge_masked
from workers.merge_kernels.masking import drop_key
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors


class DareLinear(MergeMethod):
    """θ = θ_base + Σ λ_i (m_i ⊙ τ_i) / p_i, with m_i ~ Bernoulli(p_i) and p_i the density.

    Yu et al. 2024, arXiv:2311.03099, eqs. 1-3 (p there is the drop rate, 1 - density). The masks come
    from the recipe's seed: the same recipe gives the same weights, on every worker.
    """

    signature = METHOD_SIGNATURES["dare_linear"]
    elect_sign = False

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        densities = parameters.values("density")
        merge = MaskedMerge(
            weights=parameters.values("weight"),
            thresholds=(0.0,) * len(densities),
            drops=tuple(
                DropMask(drop_key(parameters.seed, expert, tensors.name), density)
                for expert, density in enumerate(densities)
            ),
            elect_sign=self.elect_sign,
            normalize=parameters.normalize,
        )
        merge_masked(tensors.base, tensors.experts, merge, out)
