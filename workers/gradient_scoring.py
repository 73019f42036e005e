"""Scores with gradients, from the same forward passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from search_spaces.merge_recipe import Coefficients
from workers.evaluation import GradientRequest, Score
from workers.scorers import SCORERS, LikelihoodScorer, Scorer

if TYPE_CHECKING:
    from workers.live_candidate import LiveCandidate


@dataclass(frozen=True, slots=True)
class ScoredGradients:
    """What an evaluation with gradients found.

    Args:
        scores: measure → score.
        gradients: measure → d score / d coefficients; empty where one of them is not finite.
        failure: which one.
    """

    scores: Mapping[str, Score]
    gradients: Mapping[str, Coefficients] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class GradientScoring:
    """Scores the candidate of one recipe.

    Args:
        candidate: made in place.
        recipe: whose coefficients.
        scorer: by the measure's name.
        request: which gradients.
    """

    candidate: LiveCandidate
    recipe: MergeRecipe
    scorer: Callable[[str], Scorer]
    request: GradientRequest

    def score(self, measures: tuple[str, ...]) -> ScoredGradients:
        """Every measure, and the gradients of those that were requested.

        Raises:
            SpecificationError: a measure of which a gradient is requested has none, or is not scored; or the engine
                has none.
            RecipeError: the method has none.
        """
        self._check(measures)
        scores: dict[str, Score] = {}
        gradients: dict[str, Coefficients] = {}
        for name in measures:
            if name in self.request.measures:
                scores[name], gradients[name] = self._score_backward(name)
            else:
                scores[name] = self.scorer(name).score()
        failure = next(filter(None, (_not_finite(name, found) for name, found in gradients.items())), "")
        return ScoredGradients(scores, {} if failure else gradients, failure)

    def _check(self, measures: tuple[str, ...]) -> None:
        for name in self.request.measures:
            if name not in measures or not self.scorer(name).differentiable:
                able = ", ".join(scorer.name for scorer in SCORERS.values() if scorer.differentiable)
                raise SpecificationError(
                    f"Gradients can be had of measures that are scored, by {able}, but '{name}' is none of them."
                )
            self.scorer(name).engine.check_gradients()

    def _score_backward(self, name: str) -> tuple[Score, Coefficients]:
        from workers.coefficient_gradients import coefficient_gradients

        scorer = self.scorer(name)
        assert isinstance(scorer, LikelihoodScorer)
        chosen = self.request.part(name, scorer.n_examples)
        with coefficient_gradients(self.candidate, self.recipe) as found:
            # The sum is what goes backward, and the mean what comes out: 16 bits have no room for small slopes.
            score = Score.mean_of(scorer.per_example_backward(chosen))
            return score, found.coefficients(len(chosen))


def _not_finite(measure: str, gradient: Coefficients) -> str:
    """What of a gradient is not finite, for a person; "" where all is."""
    for owner, groups in gradient.items():
        for group, slopes in groups.items():
            for name, slope in slopes.items():
                if not math.isfinite(slope):
                    return (
                        f"The gradient of '{measure}' must be finite, but that of {owner}/{group}/{name} is {slope}. "
                        "A wider `dtype` may hold it."
                    )
    return ""
