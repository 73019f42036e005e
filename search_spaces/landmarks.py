"""Recipes worth trying before any search: each model alone, the uniform average, plain task arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search_spaces.merge_recipe import BASE, MergeRecipe
from search_spaces.method_signatures import MethodSignature

# The range that Ilharco et al. 2023 (arXiv:2212.04089) found best, and what people try first.
TASK_ARITHMETIC_WEIGHTS = (0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Landmark:
    """A named recipe."""

    name: str
    recipe: MergeRecipe


def landmark_weights(
    signature: MethodSignature, experts: tuple[str, ...], normalize: bool
) -> dict[str, dict[str, float]]:
    """Landmark name → model → weight; the same weight in every group.

    Returns:
        Where two names stand for the same weights, only the first.
    """
    if signature.n_models == 2:
        return _interpolations(experts)
    uniform = 1 / len(experts)
    found = {BASE: {BASE: 1.0}}
    found |= {expert: {expert: 1.0} for expert in experts}
    if len(experts) > 1:
        found["uniform average"] = dict.fromkeys(experts, uniform)
    # Normalised weights of any common size are the uniform average; and with a weighed base they are no task vectors.
    if not normalize and not signature.base_has_parameters:
        for weight in TASK_ARITHMETIC_WEIGHTS:
            if weight != uniform:
                found[f"task arithmetic {weight:g}"] = dict.fromkeys(experts, weight)
    return found


def _interpolations(experts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    first = BASE if len(experts) == 1 else experts[0]
    steps = {first: 0.0, experts[-1]: 1.0, "half way": 0.5}
    return {name: {experts[-1]: t} for name, t in steps.items()}


def fill_coefficients(
    models: tuple[str, ...], groups: Mapping[str, tuple[str, ...]], value: Callable[[str, str], dict[str, float]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Coefficients of every model and group from a function of both."""
    return {model: {group: value(model, group) for group in groups} for model in models}
