"""Where a merge comes from, for machines: inputs by hash, versions, seed and coefficients."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from service.search.preparation import PreparedSearch
from service.studies import FinishedTrial
from workers.checkpoints.fingerprint import DECIDING_FILES

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
        "versions": {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES},
        "models": {name: _model_digests(prepared, name) for name in prepared.headers},
        "sets": _set_digests(prepared),
        "specification": prepared.specification.model_dump(mode="json"),
        "params": dict(trial.params),
        "recipe": recipe.to_dict(),
    }
    return json.dumps(described, indent=2) + "\n"


def _model_digests(prepared: PreparedSearch, name: str) -> dict[str, object]:
    header = prepared.headers[name]
    files = [*header.files, *(file for file in DECIDING_FILES if (header.folder / file).is_file())]
    return {"folder": str(header.folder), "sha256": {file: file_digest(header.folder / file) for file in files}}


def _set_digests(prepared: PreparedSearch) -> dict[str, str]:
    sections = (*prepared.specification.objectives.values(), *prepared.specification.report.values())
    return {path: file_digest(path) for path in dict.fromkeys(section.set for section in sections) if path}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
