"""LM-Cocktail's weights: the better a model alone does on some examples, the more of it.

Xiao et al. 2023, LM-Cocktail, arXiv:2311.13534, eq. 1 and 2; the authors' code divides by T = 5. Hammoud et al. 2024,
arXiv:2406.14563, take the examples of a safety set and of the experts' domains together, and T = 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from search_spaces.errors import RecipeError


def cocktail_weights(losses: Mapping[str, float], temperature: float = 1.0) -> dict[str, float]:
    """wᵢ = softmax(-Lᵢ / T).

    Args:
        losses: model → Lᵢ, its mean cross entropy per answer token.
        temperature: T. A large one gives all models the same weight, a small one all of it to the best.

    Returns:
        Model → weight; they sum to 1.

    Raises:
        RecipeError: no losses, or some that are no numbers; or a temperature that is not above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise RecipeError(f"`temperature` must be a finite number above 0, but got {temperature:g}.")
    odd = [f"{loss:g} for '{model}'" for model, loss in losses.items() if not math.isfinite(loss)]
    if odd or not losses:
        raise RecipeError(f"Every model must have a finite loss, but got {odd[0] if odd else 'no models'}.")
    least = min(losses.values())
    # Counted from the best model, whose term is 1: nothing overflows, and the sum is never 0.
    terms = {model: math.exp(-(loss - least) / temperature) for model, loss in losses.items()}
    total = math.fsum(terms.values())
    return {model: term / total for model, term in terms.items()}
