"""Model Breadcrumbs with the sign election of TIES."""

from __future__ import annotations

from search_spaces import METHOD_SIGNATURES
from workers.merge_methods.breadcrumbs import Breadcrumbs


class BreadcrumbsTies(Breadcrumbs):
    """The band of Breadcrumbs in place of the trim, then elect sign and disjoint merge.

    Davari and Belilovsky 2023, arXiv:2312.06795, with Yadav et al. 2023, arXiv:2306.01708, steps 2 and 3.
    """

    signature = METHOD_SIGNATURES["breadcrumbs_ties"]
    elect_sign = True
