"""Writes a merge, loads it again, scores it again, and only then gives it its name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from search_spaces import to_mergekit
from search_spaces.errors import ExportError
from service.exports.export_request import ExportRequest
from service.exports.model_card import model_card
from service.exports.partial_folders import open_to_readers, temporary_beside
from service.exports.provenance import provenance
from workers.evaluation import Score
from workers.worker_pools import WorkerPool

# A reloaded model must give the scores of its trial to this; float32 sums in another order differ by 1e-6.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class ExportedMerge:
    """A folder that is whole.

    Args:
        folder: where it is.
        scores: measure → score of the reloaded model, holdout included.
        largest_difference: between a trial's value and the reloaded model's.
    """

    folder: Path
    scores: Mapping[str, Score]
    largest_difference: float


def export_merge(
    request: ExportRequest, pool: WorkerPool, on_stage: Callable[[str], object] = lambda _: None
) -> ExportedMerge:
    """Write the merge to a temporary folder beside the final one, check it, and rename it.

    Args:
        request: what, and where to.
        pool: its workers must see the folder; one of them writes and one reloads.
        on_stage: told what is done now.

    Raises:
        SpecificationError: the folder exists.
        ExportError: it cannot be written, or the reloaded model scores differently; nothing is left.
    """
    prepared = request.prepared
    recipe = prepared.recipe(request.trial.params)
    with temporary_beside(request.folder) as folder:
        on_stage("writing")
        pool.save(recipe, folder, request.max_shard_size)
        on_stage("reloading and scoring")
        scores = _score(request, folder, pool)
        difference = check_scores(request, scores)
        (folder / "recipe.yaml").write_text(to_mergekit(recipe), encoding="utf-8")
        (folder / "provenance.json").write_text(provenance(prepared, request.trial), encoding="utf-8")
        (folder / "README.md").write_text(model_card(request.folder.name, prepared, request, scores), encoding="utf-8")
        open_to_readers(folder)
        folder.rename(request.folder)
    return ExportedMerge(request.folder, scores, difference)


def is_exported(request: ExportRequest) -> bool:
    """Whether the folder is a whole export of this trial: one whose maker died before it could say so."""
    try:
        origin = json.loads((request.folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = (request.prepared.specification.name, request.trial.number)
    return isinstance(origin, dict) and (origin.get("study"), origin.get("trial")) == wanted


def check_export(request: ExportRequest, pool: WorkerPool) -> ExportedMerge:
    """Score an export that is there as `export_merge` does.

    Raises:
        ExportError: it scores differently from its trial.
    """
    scores = _score(request, request.folder, pool)
    return ExportedMerge(request.folder, scores, check_scores(request, scores))


def _score(request: ExportRequest, folder: Path, pool: WorkerPool) -> dict[str, Score]:
    return pool.score_saved(folder, (*request.prepared.objectives, *request.prepared.holdout_measures))


def check_scores(request: ExportRequest, scores: Mapping[str, Score]) -> float:
    """The largest difference between a trial's values and the reloaded model's.

    Raises:
        ExportError: it is larger than `TOLERANCE`, or no number.
    """
    expected = dict(zip(request.prepared.objectives, request.trial.values, strict=True))
    differences = {name: abs(scores[name].value - value) for name, value in expected.items()}
    # No number is smaller or larger than NaN, which is the worst there is.
    worst = max(differences, key=lambda name: (math.isnan(differences[name]), differences[name]))
    if not differences[worst] <= TOLERANCE:
        raise ExportError(
            f"The reloaded model must score as {request.trial.label} did, but its {worst} is "
            f"{scores[worst].value:.6g} and not {expected[worst]:.6g}. Were the models or sets changed since?"
        )
    return differences[worst]
