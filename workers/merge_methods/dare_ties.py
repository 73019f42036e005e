"""DARE with the sign election of TIES."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods.dare_linear import DareLinear


class DareTies(DareLinear):
    """Random drops and rescaling in place of the trim, then elect sign and disjoint merge.

    Yu et al. 2024, arXiv:2311.03099, with Yadav et al. 2023, arXiv:2306.01708, steps 2 and 3.
    """

    signature = METHOD_SIGNATURES["dare_ties"]
    elect_sign = True
