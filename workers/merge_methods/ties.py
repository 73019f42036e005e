"""TIES: trim small changes, elect a sign, and average those that agree with it."""

from __future__ import annotations

from torch import Tensor

from search_spaces import METHOD_SIGNATURES
from workers.merge_kernels import DropMask, MaskedMerge, merge_masked
from workers.merge_methods._base import GroupParameters, MergeMethod, SourceTensors


class Ties(MergeMethod):
    """Trim, elect sign, disjoint merge.

    Yadav et al. 2023, arXiv:2306.01708, algorithm 1, with per-expert weights as in mergekit: the elected
    sign is that of the weighted sum, and `normalize` divides by the weights that agree with it. The ranking
    of the trim depends on the checkpoints alone and is done once; densities are met to 1/16384 of a tensor.
    """

    signature = METHOD_SIGNATURES["ties"]

    def merge(self, tensors: SourceTensors, parameters: GroupParameters, out: Tensor) -> None:
        """See `MergeMethod.merge`."""
        densities = parameters.values("density")
        trimmed = any(density < 1 for density in densities)
        merge = MaskedMerge(
            weights=parameters.values("weight"),
            thresholds=_thresholds(tensors, densities) if trimmed else (0.0,) * len(densities),
            drops=(DropMask(key=0, density=1.0),) * len(densities),
            elect_sign=True,
            normalize=parameters.normalize,
        )
        merge_masked(tensors.base, tensors.experts, merge, out)


def _thresholds(tensors: SourceTensors, densities: tuple[float, ...]) -> tuple[float, ...]:
    pairs = zip(tensors.magnitude_rankings, densities, strict=True)
    return tuple(ranking.threshold(density) for ranking, density in pairs)
