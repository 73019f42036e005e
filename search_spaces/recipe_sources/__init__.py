"""Recipes that need no search: weights from what is known of the models alone; pure, values in and values out."""

from __future__ import annotations

from search_spaces.recipe_sources.average import average_recipe
from search_spaces.recipe_sources.lm_cocktail import cocktail_weights

__all__ = ["average_recipe", "cocktail_weights"]
