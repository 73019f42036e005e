"""Merge recipes as mergekit YAML, and mergekit YAML as merge recipes.

mergekit resolves a parameter per tensor: a number holds for all, a list of numbers is a gradient over
the layers, and a list of `{filter, value}` takes the first filter that is a substring of the tensor's name.
"""

from __future__ import annotations

from search_spaces.mergekit_format.listed_models import listed_models
from search_spaces.mergekit_format.reader import from_mergekit, parse_configuration
from search_spaces.mergekit_format.writer import to_mergekit

__all__ = ["from_mergekit", "listed_models", "parse_configuration", "to_mergekit"]
