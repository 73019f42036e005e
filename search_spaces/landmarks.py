"""Recipes worth trying before any search: each model alone, the uniform average, plain task arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search_spaces.merge_recipe import BASE, MergeRecipe
from search_spaces.method_signature import BaseRole, MethodSignature

# The range that Ilharco et al. 2023 (arXiv:2212.04089) found best, and what people try first.
TASK_ARITHMETIC_WEIGHTS = (0.3, 0.4, 0.5)

# Of a method whose numbers do not say how much of a model is merged.
PLAIN = "defaults"


@dataclass(frozen=True, slots=True)
class Landmark:
    """A named recipe."""

    name: str
    recipe: MergeRecipe


def landmark_weights(
    signature: MethodSignature, experts: tuple[str, ...], normalize: bool
) -> dict[str, dict[str, float]]:
    """Landmark name → model → value of the method's leading parameter; the same in every group.

    Returns:
        Where two names stand for the same weights, only the first. A method without a leading
        parameter has one landmark, in which nothing is weighed.
    """
    if signature.leading is None:
        return {PLAIN: {}}
    if signature.leading.name == "scale":
        return {expert: {expert: 1.0} for expert in experts}
    if signature.merges_a_pair:
        return _interpolations(signature, experts)
    uniform = 1 / len(experts)
    found = {} if signature.base is BaseRole.OPTIONAL_ORIGIN else {BASE: {BASE: 1.0}}
    found |= {expert: {expert: 1.0} for expert in experts}
    if len(experts) > 1:
        found["uniform average"] = dict.fromkeys(experts, uniform)
    # Normalised weights of any common size are the uniform average; and with a weighed base they are no task vectors.
    if not normalize and signature.base is BaseRole.ORIGIN:
        for weight in TASK_ARITHMETIC_WEIGHTS:
            if weight != uniform:
                found[f"task arithmetic {weight:g}"] = dict.fromkeys(experts, weight)
    return found


def _interpolations(signature: MethodSignature, experts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    first = BASE if len(experts) == 1 else experts[0]
    # Only where `t` is a share does 1 lead to the second model.
    shares = signature.leading is not None and signature.leading.maximum == 1
    steps = {first: 0.0, experts[-1]: 1.0, "half way": 0.5} if shares else {first: 0.0}
    return {name: {experts[-1]: t} for name, t in steps.items()}


def fill_coefficients(
    owners: tuple[str, ...], groups: Mapping[str, tuple[str, ...]], value: Callable[[str, str], dict[str, float]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Coefficients of every owner and group from a function of both."""
    return {owner: {group: value(owner, group) for group in groups} for owner in owners}
