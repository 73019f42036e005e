"""TIES: trim small changes, elect a sign, and average those that agree with it."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from search_spaces.method_signature import Ranking
from workers.merge_kernels import MaskedTaskVector, RankBand
from workers.merge_methods._base import GroupParameters, SourceTensors
from workers.merge_methods.magnitude_ranking import ranking_of
from workers.merge_methods.sparse_arithmetic import SparseArithmetic


class Ties(SparseArithmetic):
    """Trim, elect sign, disjoint merge.

    Yadav et al. 2023, arXiv:2306.01708, algorithm 1, with per-expert weights as in mergekit: the elected
    sign is that of the weighted sum, and `normalize` divides by the weights that agree with it. The ranking
    of the trim depends on the checkpoints alone and is done once.
    """

    signature = METHOD_SIGNATURES["ties"]
    elect_sign = True

    def mask(self, tensors: SourceTensors, expert: int, parameters: GroupParameters) -> MaskedTaskVector:
        """The largest `density` of the magnitudes, at least one."""
        numbers = parameters.experts[expert]
        weight, density = numbers["weight"], numbers["density"]
        if density >= 1:
            return MaskedTaskVector(weight)
        n_kept = max(1, int(density * tensors.base.numel()))
        return MaskedTaskVector(weight, band=RankBand(ranking_of(tensors, expert, Ranking.DESCENDING), 0, n_kept))
