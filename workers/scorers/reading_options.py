"""From the words of a specification to a scorer's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from search_spaces.errors import SpecificationError
from workers.scorers._base import Scorer, ScorerOptions


def read_options(scorer: type[Scorer], given: Mapping[str, Any], key: str) -> ScorerOptions:
    """Check what a specification says of a scorer.

    Args:
        scorer: whose options they are.
        given: option → JSON value.
        key: where in the specification they stand, for errors.

    Raises:
        SpecificationError: an unknown or impossible option.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in fields(scorer.options_type)]
    unknown = sorted(given.keys() - known)
    if unknown:
        takes = f"takes {', '.join(known)}" if known else "takes none"
        raise SpecificationError(f"`{key}.{unknown[0]}` is not an option of the scorer '{scorer.name}', which {takes}.")
    try:
        return TypeAdapter(scorer.options_type).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        own = first.get("ctx", {}).get("error")
        if isinstance(own, SpecificationError):  # of `__post_init__`, which names the field itself
            raise SpecificationError(f"`{key}` of the scorer '{scorer.name}': {own}") from None
        place = ".".join([key, *(str(part) for part in first["loc"])])
        problem = "must be given" if first["type"] == "missing" else first["msg"].lower()
        raise SpecificationError(f"`{place}` of the scorer '{scorer.name}': {problem}.") from None
