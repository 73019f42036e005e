"""Which models are evaluated: a merge, and those that it is compared with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from search_spaces import MergeRecipe
from search_spaces.errors import SpecificationError
from service.search.preparation import PreparedSearch
from service.studies import FinishedTrial
from workers.checkpoints.header import read_header

PROVENANCE = "provenance.json"


@dataclass(frozen=True, slots=True)
class EvaluatedModels:
    """The merge first, then the others.

    Args:
        merge: the merge's name.
        folders: name → folder, of all that are loaded from one.
        recipes: name → recipe, of all that a worker makes.
        left_out: name → folder, of models that belong to the merge and are not there.
    """

    merge: str
    folders: Mapping[str, Path]
    recipes: Mapping[str, MergeRecipe] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in self.folders.values():
            read_header(folder)  # what is no model is told before others are scored for hours

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are told of."""
        others = (name for name in (*self.recipes, *self.folders) if name != self.merge)
        return (self.merge, *dict.fromkeys(others))


def read_against(given: Sequence[str]) -> dict[str, Path]:
    """Models to compare with, as the command line names them.

    Args:
        given: each `NAME=FOLDER`.

    Raises:
        SpecificationError: one is not of that form.
    """
    found = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise SpecificationError(f"`--against` must be NAME=FOLDER, such as base=models/base, but got '{text}'.")
        found[name] = Path(os.path.expanduser(folder))
    return found


def models_of_export(folder: Path, against: Mapping[str, Path]) -> EvaluatedModels:
    """An exported merge, with the base and experts that its provenance names.

    Args:
        folder: of the merge.
        against: more models, or other folders of the same.

    Raises:
        SpecificationError: there is nothing to compare it with.
        CheckpointError: a folder holds no readable checkpoint.
    """
    others = _origins(folder) | dict(against)
    merge = folder.resolve().name
    _check_names(merge, against)
    if merge in others:  # a folder may be called like one of its models
        merge = f"{merge} (merge)"
    left_out = {name: str(path) for name, path in others.items() if name not in against and not path.is_dir()}
    present = {name: path for name, path in others.items() if name not in left_out}
    if not present:
        known = f"names {', '.join(left_out)}, which are not there" if left_out else "names no models or is not there"
        raise SpecificationError(
            f"A merge is evaluated beside other models, but '{folder / PROVENANCE}' {known}. "
            "Name them with `--against base=FOLDER`."
        )
    return EvaluatedModels(merge, {merge: folder, **present}, left_out=left_out)


def models_of_trial(prepared: PreparedSearch, trial: FinishedTrial, against: Mapping[str, Path]) -> EvaluatedModels:
    """A trial, with the base and experts of its search; they are made as candidates, too, where they can be.

    Args:
        prepared: the search.
        trial: of it.
        against: more models, or other folders of the same.

    Raises:
        SpecificationError: a name is taken.
        CheckpointError: a folder holds no readable checkpoint.
    """
    merge = f"{prepared.specification.name} ({trial.label})"
    _check_names(merge, against)
    landmarks = {landmark.name: landmark.recipe for landmark in prepared.space.landmarks()}
    recipes = {name: landmarks[name] for name in prepared.models if name in landmarks and name not in against}
    others = {name: header for name, header in prepared.headers.items() if name not in recipes}
    # Only a candidate has an adapter folded in.
    left_out = {name: prepared.models[name] for name, header in others.items() if header.adapter}
    folders = {name: header.folder for name, header in others.items() if name not in left_out} | dict(against)
    left_out = {name: text for name, text in left_out.items() if name not in against}
    return EvaluatedModels(merge, folders, {merge: prepared.recipe(trial.params), **recipes}, left_out)


def _check_names(merge: str, against: Mapping[str, Path]) -> None:
    if merge in against:
        raise SpecificationError(f"`--against` must name other models than the merge, but got '{merge}'.")


def _origins(folder: Path) -> dict[str, Path]:
    """What the export itself says; nothing where it says nothing that can be read."""
    try:
        models = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["models"]
        # With an adapter, the folder holds its base: the model itself is in none.
        return {
            str(name): Path(model["model"] if "adapter" in model else model["folder"]) for name, model in models.items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
