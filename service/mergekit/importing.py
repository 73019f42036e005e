"""A file of mergekit's, whichever it is, as a specification."""

from __future__ import annotations

import json
from pathlib import Path

from search_spaces.errors import RecipeError
from search_spaces.mergekit_format.checked_values import as_document
from service.mergekit.configuration_text import read_configuration
from service.mergekit.evolve_configuration import EvolveConfiguration
from service.mergekit.evolve_import import import_evolution
from service.mergekit.imported import ImportedSpecification, ImportOptions
from service.mergekit.recipe_file import RecipeFile
from service.mergekit.recipe_import import import_recipe
from service.specification import check_specification

_RECIPE_KEYS = ("models", "slices", "merge_method")


def import_file(path: Path, options: ImportOptions) -> ImportedSpecification:
    """Translate a recipe or a configuration of mergekit-evolve.

    Raises:
        RecipeError: it is neither, or both, or says what cannot be.
        CheckpointError: a recipe's model is not there, or does not fit.
        SpecificationError: there is nothing to search, or an option cannot be.
    """
    text = read_configuration(path)
    config = as_document(text)
    if isinstance(config, dict) and "genome" in config:
        both = [key for key in _RECIPE_KEYS if key in config]
        if both:
            raise RecipeError(
                f"A configuration must have either `genome`, of mergekit-evolve, or `{both[0]}`, of a recipe, but "
                f"'{path}' has both."
            )
        found = import_evolution(EvolveConfiguration.of(config), path, options)
    else:
        found = import_recipe(RecipeFile.read(path, text), options)
    if found.values.get("objectives"):
        check_specification(json.dumps(found.values), is_json=True)
    return found
