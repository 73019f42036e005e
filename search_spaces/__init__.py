"""WHAT may vary: a trial's numbers become a fully specified merge recipe; pure, without torch, ray or a database."""

from __future__ import annotations

from search_spaces.adopted_recipe import adopt_recipe
from search_spaces.landmarks import Landmark
from search_spaces.merge_recipe import MergeRecipe
from search_spaces.mergekit_format import from_mergekit, to_mergekit
from search_spaces.method_signature import MethodParameter, MethodSignature
from search_spaces.method_signatures import METHOD_SIGNATURES
from search_spaces.parameter_groups import group_parameters
from search_spaces.search_space import BoundsRule, SearchSpace, SpaceOptions

__all__ = [
    "METHOD_SIGNATURES",
    "BoundsRule",
    "Landmark",
    "MergeRecipe",
    "MethodParameter",
    "MethodSignature",
    "SearchSpace",
    "SpaceOptions",
    "adopt_recipe",
    "from_mergekit",
    "group_parameters",
    "to_mergekit",
]
