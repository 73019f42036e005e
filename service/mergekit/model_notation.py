"""The models that a mergekit file names: where they are, and whether two names mean one model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from search_spaces.errors import CheckpointError
from search_spaces.model_reference import ModelReference, is_hub_id
from workers.checkpoints.model_files import reference_of


def located(named: str, file: Path) -> str:
    """A model's notation with absolute paths; a hub id stays one where no folder is called so.

    Args:
        named: as the file has it. A path is seen from the file's folder, then from the working directory, as mergekit
            does.
        file: that names it.

    Raises:
        CheckpointError: there is no such folder.
        SpecificationError: see `ModelReference`.
    """
    if whole := _folder(named, file):
        return whole
    reference = ModelReference.parse(named)
    model = _part(reference.model, reference.revision, file)
    adapter = reference.adapter and _part(reference.adapter, reference.adapter_revision, file)
    return replace(reference, model=model, adapter=adapter).notation


def meant_by(named: str, file: Path, models: dict[str, str]) -> tuple[str, ...]:
    """Which models of a specification a file means: by notation, by path, by name, or by the names of their folders.

    Args:
        named: as the file has it.
        file: that names it.
        models: name → notation.

    Returns:
        All names of that one model; none where several models, or none, fit.
    """
    parts = {name: _parts(reference_of(notation)) for name, notation in models.items()}
    reference = ModelReference.parse(named)
    places = [_seen_from(reference, folder) for folder in (file.absolute().parent, Path.cwd())]
    rules = (
        [name for name, notation in models.items() if notation == named],
        [name for name in models if parts[name] in places],
        [name for name in models if name == named],
        [name for name in models if _last_names(parts[name]) == _last_names(_parts(reference))],
    )
    found = next((names for names in rules if names), [])
    # Folders of one name are told apart by their paths, or not at all.
    return tuple(found) if len({models[name] for name in found}) == 1 else ()


def _folder(name: str, file: Path) -> str | None:
    given = os.path.expanduser(name)
    places = (folder / given for folder in (file.absolute().parent, Path.cwd()))
    return next((str(place.resolve()) for place in places if place.is_dir()), None)


def _part(name: str, revision: str | None, file: Path) -> str:
    found = None if revision else _folder(name, file)
    if found is None and not is_hub_id(name):
        raise CheckpointError(
            f"A model must be a folder or a hub id, but '{name}' of '{file}' is no folder, neither seen from that file "
            "nor from here."
        )
    return found or name


def _parts(reference: ModelReference) -> tuple[str, ...]:
    """Model and adapter, by their real places; revisions aside."""
    return tuple(
        part if is_hub_id(part) else os.path.realpath(part) for part in (reference.model, reference.adapter) if part
    )


def _seen_from(reference: ModelReference, folder: Path) -> tuple[str, ...]:
    given = (reference.model, reference.adapter)
    placed = ((folder / os.path.expanduser(part), part) for part in given if part)
    return tuple(part if is_hub_id(part) and not path.is_dir() else os.path.realpath(path) for path, part in placed)


def _last_names(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(Path(part).name for part in parts)
