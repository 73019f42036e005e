"""Objectives that want different coefficients: each is a bowl around a point of its own, so that there is a front."""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from search_spaces.merge_recipe import Coefficients
from workers.evaluation import Assignment, Evaluation, Score

Array = NDArray[np.float64]


class Landscape:
    """Scores coefficients by a formula, and differentiates it.

    Args:
        n_examples: over which an objective's score is spread; their mean is the bowl's height.
    """

    def __init__(self, n_examples: int) -> None:
        self._spread = np.linspace(-0.5, 0.5, n_examples)
        self._centres: dict[str, Array] = {}

    def evaluate(self, assignment: Assignment) -> Evaluation:
        """Scores, and the gradients that are asked for."""
        coefficients = assignment.recipe.coefficients
        groups = (group for owner in coefficients.values() for group in owner.values())
        weights = np.array([value for group in groups for value in group.values()])
        apart = {name: weights - self._centre(name, len(weights)) for name in assignment.measures}
        asked = assignment.gradient.measures if assignment.gradient else ()
        return Evaluation(
            {name: self._score(away) for name, away in apart.items()},
            gradients={name: _shaped(-2 * apart[name] / len(weights), coefficients) for name in asked},
        )

    def _centre(self, name: str, n_dims: int) -> Array:
        if name not in self._centres:
            random = Random(name)
            self._centres[name] = np.array([random.uniform(0.2, 1.2) for _ in range(n_dims)])
        return self._centres[name]

    def _score(self, away: Array) -> Score:
        height = -float((away**2).mean())
        per_example = tuple((height + self._spread).tolist())
        return Score(height, 0.03, len(per_example), per_example)


def _shaped(slopes: Array, coefficients: Coefficients) -> Coefficients:
    """The slopes as coefficients are: owner → group → parameter."""
    rest = iter(slopes.tolist())
    return {
        owner: {group: {name: next(rest) for name in values} for group, values in groups.items()}
        for owner, groups in coefficients.items()
    }
