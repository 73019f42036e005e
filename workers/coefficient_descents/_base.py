"""The contract of a descent on coefficients: a recipe in, a recipe with a lower loss out, in one process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from search_spaces import MergeRecipe
from search_spaces.errors import CandidateError, SpecificationError
from search_spaces.merge_recipe import Coefficients
from workers.coefficient_gradients import coefficient_gradients
from workers.evaluation import GradientRequest
from workers.inference_engines import TokenizedPair
from workers.inference_engines.transformers_engine import TransformersEngine
from workers.live_candidate import LiveCandidate
from workers.merge_methods import MERGE_METHODS

# (owner, group) of a leading parameter.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DescentOptions:
    """How a descent goes.

    Args:
        n_steps: of the optimiser; each goes over all prompts.
        learning_rate: of the optimiser, in units of the coefficients.
        bounds: of every coefficient; what leaves them is put back.

    Raises:
        SpecificationError: a number that cannot be.
    """

    n_steps: int = 50
    learning_rate: float = 1e-2
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise SpecificationError(f"`n_steps` must be at least 1, but got {self.n_steps}.")
        if not self.learning_rate > 0:
            raise SpecificationError(f"`learning_rate` must be above 0, but got {self.learning_rate}.")
        if not self.bounds[0] < self.bounds[1]:
            raise SpecificationError(f"`bounds` must be a low and a high end, but got {list(self.bounds)}.")


@dataclass(frozen=True, slots=True)
class Descent:
    """Where a descent has led.

    Args:
        recipe: the last one.
        losses: of every recipe on the way, before its step.
        cost: in evaluation-equivalents.
    """

    recipe: MergeRecipe
    losses: tuple[float, ...]
    cost: float


class CoefficientDescent(ABC):
    """Follows the gradient of a loss that needs no labels, over the live candidate.

    Args:
        engine: over the candidate's model.
        candidate: overwritten; at the end it is the last but one recipe's.
        options: how to go.
    """

    def __init__(
        self, engine: TransformersEngine, candidate: LiveCandidate, options: DescentOptions | None = None
    ) -> None:
        self.engine, self.candidate = engine, candidate
        self.options = options or DescentOptions()

    @property
    @abstractmethod
    def pairs(self) -> Sequence[TokenizedPair]:
        """All that one step reads."""

    def prepare(self, start: MergeRecipe) -> int:
        """Do what is done once; how many tokens that read."""
        return 0

    @abstractmethod
    def backward(self) -> float:
        """The loss of the candidate as it is, after its backward pass."""

    def penalty(self, weights: Tensor, start: Tensor) -> Tensor:
        """What is added to the loss for the coefficients themselves."""
        return weights.new_zeros(())

    def optimizer(self, weights: Tensor) -> Optimizer:
        """Over the vector of coefficients."""
        return torch.optim.Adam([weights], lr=self.options.learning_rate)

    def descend(self, start: MergeRecipe, evaluation_tokens: int, fixed: frozenset[str] = frozenset()) -> Descent:
        """Go all steps.

        Args:
            start: of a differentiable method with a leading parameter; its other numbers stay.
            evaluation_tokens: of one plain evaluation, in which the cost is counted.
            fixed: groups whose coefficients stay.

        Raises:
            RecipeError: the method is not differentiable, or the recipe is of other models.
            CandidateError: the loss or its gradient is not finite.
        """
        if not start.signature.differentiable:
            raise MERGE_METHODS[start.method].not_differentiable
        places = [p for p in leading_values(start) if p[1] not in fixed]
        first = torch.tensor([leading_values(start)[p] for p in places], dtype=torch.float64)
        weights = first.clamp(*self.options.bounds).requires_grad_()
        optimizer, losses = self.optimizer(weights), []
        n_tokens = self.prepare(start)
        for _ in range(self.options.n_steps):
            losses.append(self._step(start, places, weights, first))
            optimizer.step()
            with torch.no_grad():
                weights.clamp_(*self.options.bounds)
        steps_tokens = self.options.n_steps * GradientRequest(()).cost * sum(map(len, self.pairs))
        cost = (n_tokens + steps_tokens) / evaluation_tokens
        return Descent(_moved(start, places, weights), tuple(losses), cost)

    def _step(self, start: MergeRecipe, places: Sequence[Place], weights: Tensor, first: Tensor) -> float:
        """The loss, whose gradient is left with the weights."""
        recipe = _moved(start, places, weights)
        with coefficient_gradients(self.candidate, recipe) as found:
            loss = self.backward()
        slopes = leading_slopes(recipe, found.coefficients())
        penalty = self.penalty(weights, first)
        weights.grad = torch.tensor([slopes[place] for place in places], dtype=torch.float64)
        if penalty.requires_grad:
            weights.grad += torch.autograd.grad(penalty, weights)[0]
        if not bool(weights.grad.isfinite().all()):
            raise CandidateError("non_finite_score", "The gradient of a descent's loss must be finite, but is not.")
        return loss + float(penalty.detach())


def run_backward(loss: Tensor) -> float:
    """The loss, after its backward pass; where nothing moves with a coefficient, there is none."""
    if loss.requires_grad:
        torch.autograd.backward(loss)
    return float(loss.detach())


def leading_values(recipe: MergeRecipe) -> dict[Place, float]:
    """(owner, group) → value of the leading parameter."""
    leading = recipe.signature.leading
    if leading is None:
        return {}
    return {
        (owner, group): recipe.values(owner, group)[leading.name]
        for owner in recipe.weighed_models
        for group in recipe.groups
    }


def leading_slopes(recipe: MergeRecipe, gradient: Coefficients) -> dict[Place, float]:
    """The same of a gradient."""
    leading = recipe.signature.leading
    assert leading is not None  # of a differentiable method
    return {(owner, group): gradient[owner][group][leading.name] for owner, group in leading_values(recipe)}


def with_leading(recipe: MergeRecipe, values: Mapping[Place, float]) -> MergeRecipe:
    """The recipe with other values of the leading parameter."""
    leading = recipe.signature.leading
    assert leading is not None
    coefficients = {
        owner: {group: dict(numbers) for group, numbers in groups.items()}
        for owner, groups in recipe.coefficients.items()
    }
    for (owner, group), value in values.items():
        coefficients.setdefault(owner, {}).setdefault(group, {})[leading.name] = value
    return replace(recipe, coefficients=coefficients)


def _moved(recipe: MergeRecipe, places: Sequence[Place], weights: Tensor) -> MergeRecipe:
    return with_leading(recipe, dict(zip(places, map(float, weights.tolist()), strict=True)))
