"""Expert Merging++: more coefficients where they matter, none where they do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from workers.coefficient_descents._base import Descent, leading_values
from workers.coefficient_descents.expert_merging import ExpertMerging
from workers.live_candidate import LiveCandidate


def descend_in_chunks(
    descent: ExpertMerging, start: MergeRecipe, evaluation_tokens: int, budget: float = 1.0, kappa: float = 1.0
) -> Descent:
    """Descend, spend the groups anew by their importance, and descend again.

    Zhang et al. 2025, Expert Merging++, arXiv:2509.25712. They cut tensors into chunks, each with a coefficient. In
    recipes a tensor has one: so what is cut here are groups, into runs of their tensors, at most into single ones. A
    group of no chunks keeps the coefficient that the first descent gave it.

    Args:
        descent: done twice, with the same loss.
        start: with coarse groups, such as layers.
        evaluation_tokens: see `CoefficientDescent.descend`.
        budget: groups after the cut, in those before it.
        kappa: how much more goes to the important ones.

    Raises:
        SpecificationError: a budget that is not above 0.
        RecipeError: see `CoefficientDescent.descend`.
        CandidateError: see `CoefficientDescent.descend`.
    """
    if not budget > 0:
        raise SpecificationError(f"`budget` must be above 0, but got {budget}.")
    first = descent.descend(start, evaluation_tokens)
    counts = chunk_counts(importance(descent.candidate, first.recipe), budget * len(start.groups), kappa)
    refined, fixed = _cut(start, first.recipe, counts)
    second = descent.descend(refined, evaluation_tokens, fixed)
    return Descent(second.recipe, (*first.losses, *second.losses), first.cost + second.cost)


def importance(candidate: LiveCandidate, recipe: MergeRecipe) -> dict[str, float]:
    """Group → I_l = Σ_k |w_k^l| mean|τ_k^l| n_l, as a share of all."""
    values, found = leading_values(recipe), {}
    for group, names in recipe.groups.items():
        sizes = dict.fromkeys(recipe.experts, 0.0)
        for name in names:
            tensors = candidate.sources.tensors(name)
            for expert, tensor in zip(recipe.experts, tensors.experts, strict=True):
                sizes[expert] += float((tensor.float() - tensors.base.float()).abs().sum())
        found[group] = sum(abs(values.get((expert, group), 0.0)) * size for expert, size in sizes.items())
    total = sum(found.values())
    return {group: share / total if total else 1 / len(found) for group, share in found.items()}


def chunk_counts(shares: Mapping[str, float], budget: float, kappa: float = 1.0) -> dict[str, int]:
    """Group → m_l = floor(B I_l^κ / Σ_j I_j^κ)."""
    powers = {group: share**kappa for group, share in shares.items()}
    total = sum(powers.values())
    return {group: math.floor(budget * power / total) for group, power in powers.items()}


def _cut(start: MergeRecipe, first: MergeRecipe, counts: Mapping[str, int]) -> tuple[MergeRecipe, frozenset[str]]:
    """The start in new groups, and which of them keep what the first descent gave them."""
    origins: dict[str, str] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for group, names in start.groups.items():
        n = max(1, min(counts[group], len(names)))
        for i in range(n):
            part = group if n == 1 else f"{group}.chunk.{i}"
            groups[part], origins[part] = names[i * len(names) // n : (i + 1) * len(names) // n], group
    fixed = frozenset(group for group in start.groups if counts[group] == 0)
    coefficients = {
        owner: {
            part: dict((first if group in fixed else start).coefficients[owner].get(group, {}))
            for part, group in origins.items()
        }
        for owner in start.coefficients
    }
    return replace(start, groups=groups, coefficients=coefficients), fixed
