"""Descents on coefficients that need no labels: recipes from one process, by gradients."""

from __future__ import annotations

from workers.coefficient_descents._base import CoefficientDescent, Descent, DescentOptions
from workers.coefficient_descents.ada_merging import AdaMerging, prompt_only
from workers.coefficient_descents.expert_merging import AlignmentLoss, ExpertMerging
from workers.coefficient_descents.expert_merging_pp import chunk_counts, descend_in_chunks

__all__ = [
    "AdaMerging",
    "AlignmentLoss",
    "CoefficientDescent",
    "Descent",
    "DescentOptions",
    "ExpertMerging",
    "chunk_counts",
    "descend_in_chunks",
    "prompt_only",
]
