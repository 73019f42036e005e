"""DELLA: magnitude-dependent random drops, then the sign election of TIES."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods.della_linear import DellaLinear


class Della(DellaLinear):
    """Drop, elect, fuse.

    Deep et al. 2024, arXiv:2406.11617, section 3: MAGPRUNE, the election of Yadav et al. 2023, arXiv:2306.01708,
    and the average of what agrees.
    """

    signature = METHOD_SIGNATURES["della"]
    elect_sign = True
