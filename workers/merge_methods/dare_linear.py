"""DARE on task arithmetic: drop random changes, rescale the rest, add."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import DropMask, MaskedTaskVector
from workers.merge_kernels.masking import drop_key
from workers.merge_methods._base import GroupParameters, SourceTensors
from workers.merge_methods.sparse_arithmetic import SparseArithmetic


class DareLinear(SparseArithmetic):
    """θ = θ_base + Σ w_i s_i (m_i ⊙ τ_i), with m_i ~ Bernoulli(p_i) and p_i the density.

    Yu et al. 2024, arXiv:2311.03099, eqs. 1-3 (p there is the drop rate, 1 - density). They divide by the density;
    mergekit's s_i restores the size of each task vector exactly, and so does this. The masks come from the
    recipe's seed: the same recipe gives the same weights, on every worker.
    """

    signature = METHOD_SIGNATURES["dare_linear"]
    elect_sign = False

    def mask(self, tensors: SourceTensors, expert: int, parameters: GroupParameters) -> MaskedTaskVector:
        """Each element with the probability `density`."""
        numbers = parameters.experts[expert]
        drop = DropMask(drop_key(parameters.seed, expert, tensors.name), numbers["density"])
        return MaskedTaskVector(numbers["weight"], drop=drop)
