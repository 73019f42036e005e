"""Values of a configuration as the types they must have; anything else is a `RecipeError` that names the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from search_spaces.errors import RecipeError


def as_document(text: str) -> Any:
    """A YAML text's value."""
    try:
        return yaml.safe_load(text)
    # PyYAML lets the errors of a date or a number that is none pass, and those of endless nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"A mergekit configuration must be YAML, but it cannot be parsed: {error}") from None


def as_mapping(value: Any, what: str, known: Sequence[str] | None = None) -> Mapping[str, Any]:
    """A mapping, empty where nothing is given; anything else, or a key that is not known, is refused."""
    found = {} if value is None else value
    if not isinstance(found, dict):
        raise RecipeError(f"`{what}` must be a mapping, but got {value!r}.")
    odd = [key for key in found if known is not None and key not in known]
    if odd:
        taken = ", ".join(known or ()) or "nothing"
        raise RecipeError(f"`{what}` takes {taken} here, but got `{odd[0]}`.")
    return found


def as_sequence(value: Any, what: str) -> list[Any]:
    """A list with at least one entry."""
    if not isinstance(value, list) or not value:
        raise RecipeError(f"`{what}` must be a list with at least one entry, but got {value!r}.")
    return value


def as_number(value: Any, what: str) -> float:
    """A number."""
    try:
        # Text as well: YAML 1.1 takes 1e-3 for text.
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise RecipeError(f"`{what}` must be a number, but got {value!r}.") from None


def as_switch(settings: Mapping[str, Any], what: str, default: bool) -> bool:
    """True or false."""
    value = settings.get(what, default)
    if not isinstance(value, bool):
        raise RecipeError(f"`{what}` must be true or false, but got {value!r}.")
    return value
