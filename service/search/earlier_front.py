"""The front of an earlier search, as recipes from which another one starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from search_spaces import Landmark, MergeRecipe, SearchSpace, adopt_recipe
from search_spaces.errors import RecipeError, SelectionError, SpecificationError
from search_spaces.merge_recipe import BASE
from service.pareto import spread
from service.search.selection import front_of
from service.search.space_options import space_options
from service.specification import restore_specification

if TYPE_CHECKING:
    from service.search.preparation import PreparedSearch
    from service.studies import StoredStudy

# A search's name → its study, as it stands.
ReadStudy = Callable[[str], "StoredStudy"]
# Of one front: enough to show its course, few enough to be scored in a short search.
MAX_RECIPES = 20


def read_from_users_database(name: str) -> StoredStudy:
    """A study of the database that commands use.

    Raises:
        DatabaseError: it cannot be reached.
        SelectionError: there is none of that name.
    """
    from service.database.connection import connect, database_url
    from service.studies import load_study

    engine = connect(database_url())
    try:
        return load_study(engine, name)
    finally:
        engine.dispose()


def read_fronts(names: Iterable[str], prepared: PreparedSearch, read_study: ReadStudy) -> dict[str, list[Landmark]]:
    """At most `MAX_RECIPES` merges of each front, those first that lie farthest apart.

    Args:
        names: of earlier searches.
        prepared: the search that starts from them.
        read_study: called for each name.

    Raises:
        SpecificationError: there is no such search, it has no front yet, or has other models, groups, or merges that
            lie outside the space; the message names it.
    """
    return {name: _read_front(name, prepared, read_study) for name in names}


def _read_front(name: str, prepared: PreparedSearch, read_study: ReadStudy) -> list[Landmark]:
    must = "`search.start` must name the front of an earlier search of the same models and groups, but"
    if name == prepared.specification.name:
        raise SpecificationError(f"{must} '{name}' is this search itself, which goes on from its front anyway.")
    try:
        study = read_study(name)
        _check_models(study, prepared)
        found = _landmarks(study, _space_of(study, prepared), prepared.space)
    except (RecipeError, SelectionError) as error:
        raise SpecificationError(f"{must} '{name}' is none: {error}") from None
    # A model alone may be on the front, and is tried under its own name.
    own = [each.recipe for each in prepared.space.landmarks()] if prepared.specification.search.landmarks else []
    return [landmark for landmark in found if landmark.recipe not in own]


def _check_models(study: StoredStudy, prepared: PreparedSearch) -> None:
    theirs, ours = (_models(fixed) for fixed in (study.identity.fixed, prepared.identity.fixed))
    differing = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    if differing:
        raise SelectionError(f"It has another {', '.join(f'`{key}`' for key in differing)}.")


def _models(fixed: Mapping[str, object]) -> dict[str, object]:
    """By content: what a study keeps of its models, and whose tokens its merges have."""
    return {key: value for key, value in fixed.items() if key.startswith("models.")}


def _space_of(study: StoredStudy, prepared: PreparedSearch) -> SearchSpace:
    """The space of the earlier search, which tells what its trials' numbers mean."""
    specification, base = restore_specification(study.identity.specification), prepared.headers[BASE]
    models = specification.models.notations
    experts = {name: notation for name, notation in models.items() if name != BASE}
    space = SearchSpace(models[BASE], experts, base.merged_names, space_options(specification, base))
    if space.groups != prepared.space.groups:
        raise SelectionError(
            f"Its `space.granularity` is '{space.options.granularity}', and that of this search "
            f"'{prepared.space.options.granularity}'."
        )
    return space


def _landmarks(study: StoredStudy, earlier: SearchSpace, space: SearchSpace) -> list[Landmark]:
    front = front_of(study.trials)
    if not front:
        raise SelectionError("None of its trials has succeeded yet.")
    chosen = [front[index] for index in spread([trial.values for trial in front], MAX_RECIPES)]
    names = [f"{study.identity.name} #{trial.number}" for trial in chosen]
    recipes = [earlier.decode(trial.params) for trial in chosen]
    return [Landmark(name, _adopted(name, recipe, space)) for name, recipe in zip(names, recipes, strict=True)]


def _adopted(name: str, recipe: MergeRecipe, space: SearchSpace) -> MergeRecipe:
    try:
        adopted = adopt_recipe(recipe, space, _known_as(recipe))
        space.encode(adopted)
    except RecipeError as error:
        raise RecipeError(f"'{name}' lies outside the space. {error}") from None
    return adopted


def _known_as(recipe: MergeRecipe) -> dict[str, tuple[str, ...]]:
    """Both searches have the same models under the same names, wherever these lie now."""
    found: dict[str, tuple[str, ...]] = {}
    for name, notation in recipe.folders.items():
        found[notation] = (*found.get(notation, ()), name)
    return found
