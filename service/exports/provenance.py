"""Where a merge comes from, for machines: inputs by hash, versions, seed and coefficients."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from search_spaces import MergeRecipe
from service.search.preparation import PreparedSearch
from service.studies import FinishedTrial
from workers.checkpoints.fingerprint import DECIDING_FILES, weight_files
from workers.checkpoints.header import CheckpointHeader

_PACKAGES = ("paretomerge", "torch", "transformers", "safetensors", "optuna", "numpy", "numba")


def provenance(prepared: PreparedSearch, trial: FinishedTrial) -> str:
    """JSON: every input's SHA-256, versions, seed, trial and recipe."""
    recipe = prepared.recipe(trial.params)
    described = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "study": prepared.specification.name,
        "trial": trial.number,
        "landmark": trial.landmark or None,
        "values": dict(zip(prepared.objectives, trial.values, strict=True)),
        "seed": prepared.specification.search.seed,
        "versions": software_versions(),
        "models": {name: model_digests(prepared.models[name], header) for name, header in prepared.headers.items()},
        "sets": _set_digests(prepared),
        "specification": prepared.specification.model_dump(mode="json"),
        "params": dict(trial.params),
        "recipe": recipe.to_dict(),
    }
    return json.dumps(described, indent=2) + "\n"


def recipe_provenance(recipe: MergeRecipe, headers: Mapping[str, CheckpointHeader], source: str) -> str:
    """The same of a merge that no search found.

    Args:
        recipe: of it.
        headers: model name → header.
        source: the recipe as it was given.
    """
    described = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": recipe.seed,
        "versions": software_versions(),
        "models": {name: model_digests(recipe.folders[name], header) for name, header in headers.items()},
        "source": source,
        "recipe": recipe.to_dict(),
    }
    return json.dumps(described, indent=2) + "\n"


def software_versions() -> dict[str, str]:
    """Of everything that a merge's numbers depend on."""
    return {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES}


def model_digests(model: str, header: CheckpointHeader) -> dict[str, object]:
    """A model, its folder, and the SHA-256 of what is in it."""
    files = [*weight_files(header), *(header.folder / file for file in DECIDING_FILES)]
    digests = {_told(header, file): file_digest(file) for file in files if file.is_file()}
    adapter = {"adapter": str(header.adapter.folder)} if header.adapter else {}
    return {"model": model, "folder": str(header.folder), **adapter, "sha256": digests}


def _told(header: CheckpointHeader, file: Path) -> str:
    """A file's name, which an adapter's folder may share with the model's."""
    is_adapters = header.adapter is not None and file.parent == header.adapter.folder
    return f"adapter/{file.name}" if is_adapters else file.name


def _set_digests(prepared: PreparedSearch) -> dict[str, str]:
    sections = (*prepared.specification.objectives.values(), *prepared.specification.report.values())
    return {path: file_digest(path) for path in dict.fromkeys(section.set for section in sections) if path}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
