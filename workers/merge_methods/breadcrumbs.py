"""Model Breadcrumbs: leave out the smallest changes, and the largest."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from search_spaces.method_signature import Ranking
from workers.merge_kernels import MaskedTaskVector, RankBand
from workers.merge_methods._base import GroupParameters, SourceTensors
from workers.merge_methods.magnitude_ranking import ranking_of
from workers.merge_methods.sparse_arithmetic import SparseArithmetic


class Breadcrumbs(SparseArithmetic):
    """A band of each task vector's magnitudes, weighted and added.

    Davari and Belilovsky 2023, arXiv:2312.06795, section 3: the largest share `gamma` is left out as
    outliers, and of the rest the largest `density` of all elements stay; where too few are left for that, fewer
    outliers are left out. At density 1 everything stays, outliers included, as in mergekit.
    """

    signature = METHOD_SIGNATURES["breadcrumbs"]
    elect_sign = False

    def mask(self, tensors: SourceTensors, expert: int, parameters: GroupParameters) -> MaskedTaskVector:
        """The band below the outliers."""
        numbers = parameters.experts[expert]
        weight, density, n = numbers["weight"], numbers["density"], tensors.base.numel()
        if density >= 1:
            return MaskedTaskVector(weight)
        n_kept, n_outliers = int(density * n), int(numbers["gamma"] * n)
        first = max(0, n - n_kept - n_outliers)
        order = ranking_of(tensors, expert, Ranking.ASCENDING)
        return MaskedTaskVector(weight, band=RankBand(order, first, first + n_kept))
