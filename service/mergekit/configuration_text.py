"""A file of mergekit's as text, within bounds that no honest one reaches."""

from __future__ import annotations

from pathlib import Path

from search_spaces.errors import RecipeError

# A recipe of every tensor of the largest models has some hundred thousand characters.
_MAX_BYTES = 10_000_000


def read_configuration(path: Path) -> str:
    """The text of a mergekit file, as it stands.

    Raises:
        RecipeError: there is none that could be read.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise RecipeError(f"A mergekit configuration must be a YAML file, but '{path}' is not there.")
        if path.stat().st_size > _MAX_BYTES:
            raise RecipeError(
                f"A mergekit configuration must have {_MAX_BYTES:,} bytes at most, but '{path}' has more."
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"A mergekit configuration must be readable YAML, but '{path}' is not: {error}") from None
