"""The recipes that a search tries first: mergekit files, read as points of its space."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from search_spaces import Landmark, MergeRecipe, SearchSpace, adopt_recipe, from_mergekit
from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.merge_recipe import BASE
from search_spaces.mergekit_format import listed_models
from service.mergekit.configuration_text import read_configuration
from service.mergekit.model_notation import meant_by

# As of models: it stands in tables and pages.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_start(paths: Iterable[str], space: SearchSpace) -> list[Landmark]:
    """Read recipes and check that they lie in the space.

    Args:
        paths: of mergekit files.
        space: of the search.

    Returns:
        Each under its file's name, without the suffix.

    Raises:
        SpecificationError: a file cannot be read, has the name of another landmark, or its merge lies outside the
            space; the message names the file.
    """
    taken = {landmark.name for landmark in space.landmarks()}
    found = []
    for path in map(Path, paths):
        _check_name(path, taken)
        taken.add(path.stem)
        try:
            found.append(Landmark(path.stem, _read(path, space)))
        except RecipeError as error:
            raise SpecificationError(
                f"`search.start` must name recipes of this search, but '{path}': {error}"
            ) from None
    return found


def _check_name(path: Path, taken: Iterable[str]) -> None:
    if not _NAME.fullmatch(path.stem):
        raise SpecificationError(
            "`search.start` must name files of letters, digits, `.`, `_` and `-`, for they name landmarks, but got "
            f"'{path.name}'. Rename it."
        )
    if path.stem in taken:
        raise SpecificationError(
            f"`search.start` must name each landmark once, but '{path.stem}' of '{path}' is one already. Rename it."
        )


def _read(path: Path, space: SearchSpace) -> MergeRecipe:
    text = read_configuration(path)
    names = [name for members in space.groups.values() for name in members]
    models = {BASE: space.base, **space.experts}
    known_as = {named: meant_by(named, path, models) for named in listed_models(text)}
    recipe = adopt_recipe(from_mergekit(text, names, space.options.granularity), space, known_as)
    space.encode(recipe)
    return recipe
