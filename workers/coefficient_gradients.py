"""Gradients of any loss of the live model by a recipe's coefficients, without ever holding those of its weights.

By the chain rule, d loss / d coefficient is the inner product of d loss / d θ with d θ / d coefficient, tensor by
tensor. A backward pass comes to the parameters one after the other: as soon as one has its gradient, it is turned into
a few numbers and freed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from search_spaces import MergeRecipe
from search_spaces.merge_recipe import BASE, Coefficients
from search_spaces.method_signature import SHARED
from search_spaces.parameter_groups import tensor_to_group
from workers.checkpoint_places import same_place
from workers.live_candidate import LiveCandidate
from workers.merge_methods import MERGE_METHODS, GroupParameters, ParameterGradients


class CoefficientGradients:
    """Adds up what backward passes bring; see `coefficient_gradients`.

    Args:
        candidate: with the recipe's weights.
        recipe: whose coefficients.

    Raises:
        RecipeError: its method is not differentiable.
    """

    def __init__(self, candidate: LiveCandidate, recipe: MergeRecipe) -> None:
        self._method = MERGE_METHODS[recipe.method]
        if not recipe.signature.differentiable:
            raise self._method.not_differentiable
        self._candidate, self._recipe = candidate, recipe
        self._group_of = tensor_to_group(recipe.groups)
        self._parameters = {group: GroupParameters.of(recipe, group) for group in recipe.groups}
        self.clear()

    def clear(self) -> None:
        """Forget what was added."""
        signature = self._recipe.signature
        self._sums: dict[str, dict[str, dict[str, float]]] = {
            owner: {group: dict.fromkeys(names, 0.0) for group in self._recipe.groups}
            for owner in (*self._recipe.weighed_models, SHARED)
            if (names := [parameter.name for parameter in signature.differentiable_parameters_of(owner)])
        }

    def coefficients(self, divisor: float = 1.0) -> Coefficients:
        """Owner → group → parameter → the sum so far, divided; of the parameters that have a gradient."""
        return {
            owner: {group: {name: v / divisor for name, v in values.items()} for group, values in groups.items()}
            for owner, groups in self._sums.items()
        }

    def moved(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of some tensors that move with a coefficient."""
        tensors = {name: self._candidate.sources.tensors(name) for name in names}
        return tuple(name for name, t in tensors.items() if not self._method.is_constant(t, self._parameters_of(name)))

    def _parameters_of(self, name: str) -> GroupParameters:
        return self._parameters[self._group_of[name]]

    @torch.no_grad()
    def take(self, names: Sequence[str], leaf: Tensor) -> None:
        """Add what a parameter's gradient says of the coefficients of the tensors in it, and free it."""
        gradient, leaf.grad = leaf.grad, None
        assert gradient is not None  # of a hook that is called with one
        for name in names:
            tensors, parameters = self._candidate.sources.on_device(name), self._parameters_of(name)
            part = same_place(gradient, leaf, self._candidate.places[name])
            self._add(self._group_of[name], self._method.pull_back(tensors, parameters, part))

    def _add(self, group: str, found: ParameterGradients) -> None:
        owned = {BASE: found.base, SHARED: found.shared, **dict(zip(self._recipe.experts, found.experts, strict=True))}
        for owner, slopes in owned.items():
            for name, slope in slopes.items():
                self._sums[owner][group][name] += slope


@contextmanager
def coefficient_gradients(candidate: LiveCandidate, recipe: MergeRecipe) -> Iterator[CoefficientGradients]:
    """Make a candidate and let every `backward()` inside add up d loss / d coefficients.

    The model stays in evaluation mode; its parameters require gradients inside only, and those alone that move with a
    coefficient. No `.grad` is left.

    Raises:
        RecipeError: see `MergeSources.check`; or the method is not differentiable.
        CandidateError: see `MergeMethod.merge`.
    """
    found = CoefficientGradients(candidate, recipe)
    candidate.make(recipe)
    before = [(leaf, leaf.requires_grad) for leaf, _ in candidate.parameter_places]
    hooks: list[Any] = []
    try:
        for leaf, names in candidate.parameter_places:
            moved = found.moved(names)
            leaf.requires_grad_(bool(moved))
            if moved:
                register: Any = leaf.register_post_accumulate_grad_hook
                hooks.append(register(partial(found.take, moved)))
        yield found
    finally:
        for hook in hooks:
            hook.remove()
        for leaf, required in before:
            leaf.grad = None
            leaf.requires_grad_(required)
