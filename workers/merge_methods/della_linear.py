"""DELLA without an election: drop changes at random, small ones more often, rescale the rest, add."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from search_spaces.method_signature import Ranking
from workers.merge_kernels import DropMask, MaskedTaskVector
from workers.merge_kernels.masking import drop_key
from workers.merge_methods._base import GroupParameters, SourceTensors
from workers.merge_methods.magnitude_ranking import ranking_of
from workers.merge_methods.sparse_arithmetic import SparseArithmetic


class DellaLinear(SparseArithmetic):
    """MAGPRUNE: an element is kept with a probability that grows with the rank of its magnitude in its row.

    Deep et al. 2024, arXiv:2406.11617, section 3.1: from `density` - `epsilon` for the smallest of a row to
    `density` + `epsilon` for the largest (ε there is the whole width). A vector is one row; in a row of one element,
    which has no rank, it is kept with probability `density`. They divide by each element's own probability;
    mergekit's s_i restores the size of the task vector, and so does this.
    """

    signature = METHOD_SIGNATURES["della_linear"]
    elect_sign = False

    def mask(self, tensors: SourceTensors, expert: int, parameters: GroupParameters) -> MaskedTaskVector:
        """Each element with the probability of its rank; all of them at density 1."""
        numbers = parameters.experts[expert]
        key, density = drop_key(parameters.seed, expert, tensors.name), numbers["density"]
        row_length = tensors.base.shape[-1] if tensors.base.dim() else 1
        if density >= 1 or row_length < 2:
            return MaskedTaskVector(numbers["weight"], drop=DropMask(key, density))
        ranks = ranking_of(tensors, expert, Ranking.ROWS)
        drop = DropMask(key, density, ranks, numbers["epsilon"], row_length)
        return MaskedTaskVector(numbers["weight"], drop=drop)
