"""The recipes that a search tries first: mergekit files and earlier fronts, as points of its space."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from search_spaces import Landmark, MergeRecipe, SearchSpace, adopt_recipe, from_mergekit
from search_spaces.errors import RecipeError, SpecificationError
from search_spaces.merge_recipe import BASE
from search_spaces.mergekit_format import listed_models
from service.mergekit.configuration_text import read_configuration
from service.mergekit.model_notation import meant_by
from service.specification.schema import FrontSection

# As of models: it stands in tables and pages.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_start(
    entries: Iterable[str | FrontSection], space: SearchSpace, fronts: Mapping[str, Iterable[Landmark]]
) -> list[Landmark]:
    """Read recipes and check that they lie in the space.

    Args:
        entries: paths of mergekit files, and fronts.
        space: of the search.
        fronts: name of an earlier search → what is taken of its front; see `read_fronts`.

    Returns:
        In the order of the entries; a file's recipe under the file's name, without the suffix.

    Raises:
        SpecificationError: a file cannot be read, has the name of another landmark, or its merge lies outside the
            space; the message names the file.
    """
    taken = {landmark.name for landmark in space.landmarks()}
    found: list[Landmark] = []
    for entry in entries:
        new = [_landmark(Path(entry), space)] if isinstance(entry, str) else fronts[entry.front_of]
        for landmark in new:
            _check_is_new(landmark.name, entry, taken)
            taken.add(landmark.name)
            found.append(landmark)
    return found


def _landmark(path: Path, space: SearchSpace) -> Landmark:
    _check_name(path)
    try:
        return Landmark(path.stem, _read(path, space))
    except RecipeError as error:
        raise SpecificationError(f"`search.start` must name recipes of this search, but '{path}': {error}") from None


def _check_name(path: Path) -> None:
    if not _NAME.fullmatch(path.stem):
        raise SpecificationError(
            "`search.start` must name files of letters, digits, `.`, `_` and `-`, for they name landmarks, but got "
            f"'{path.name}'. Rename it."
        )


def _check_is_new(name: str, entry: str | FrontSection, taken: Iterable[str]) -> None:
    if name in taken:
        source, remedy = (f"'{entry}'", "Rename it") if isinstance(entry, str) else ("a front", "Leave it out")
        raise SpecificationError(
            f"`search.start` must name each landmark once, but '{name}' of {source} is one already. {remedy}."
        )


def _read(path: Path, space: SearchSpace) -> MergeRecipe:
    text = read_configuration(path)
    names = [name for members in space.groups.values() for name in members]
    models = {BASE: space.base, **space.experts}
    known_as = {named: meant_by(named, path, models) for named in listed_models(text)}
    recipe = adopt_recipe(from_mergekit(text, names, space.options.granularity), space, known_as)
    space.encode(recipe)
    return recipe
