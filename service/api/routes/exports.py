"""Exports: asked for, and how far they are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from fastapi import APIRouter, Response
from sqlalchemy import text

from search_spaces.errors import StateError
from service.api.context import Context, ServiceContext
from service.api.parameters import JobId, SearchName
from service.api.queue_limits import check_job_queue
from service.api.schemas import Export, ExportList, ExportRequested
from service.api.selected_trial import selected_trial
from service.exports.export_request import check_exportable, check_shard_size
from service.registry import ExportRow, JobState

router = APIRouter(tags=["exports"])

# What a call without a body asks for.
_KNEE = ExportRequested()

# Two calls at once must not be given one folder, by this process or another. The first lock keeps the calls of this one
# from taking all connections while they wait for the second.
_HERE = threading.Lock()
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('paretomerge exports'))")


@router.post(
    "/v1/searches/{name}/exports",
    status_code=202,
    operation_id="requestExport",
    summary="Export a merge",
    responses={
        202: {
            "description": "It is queued.",
            "headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}},
        },
        409: {"description": "The folder exists, or another export has it."},
    },
)
def request_export(name: SearchName, context: Context, response: Response, wanted: ExportRequested = _KNEE) -> Export:
    """Write a merge as a Hugging Face folder: a trial by number, by constraints, or the knee of the front as it is."""
    context.searches.get(name)
    check_job_queue(context, name)
    check_shard_size(wanted.max_shard_size)
    trial = selected_trial(context, name, wanted.trial, wanted.where)
    check_exportable(trial)
    with _HERE, context.engine.begin() as connection:
        connection.execute(_LOCK)
        folder = _folder(context, wanted.to, f"{name}-trial-{trial.number}")
        row = context.exports.create(
            ExportRow(search=name, trial=trial.number, folder=str(folder), max_shard_size=wanted.max_shard_size)
        )
    response.headers["Location"] = f"/v1/exports/{row.id}"
    return shown(row)


@router.get("/v1/searches/{name}/exports", operation_id="listExports", summary="The exports of a search")
def list_exports(name: SearchName, context: Context) -> ExportList:
    """The newest first."""
    context.searches.get(name)
    return ExportList(exports=tuple(shown(row) for row in context.exports.of_search(name)))


@router.get("/v1/exports/{id}", operation_id="getExport", summary="One export")
def get_export(id: JobId, context: Context) -> Export:
    """How far it is; once it is whole, its folder holds the merge."""
    return shown(context.exports.get(id))


def shown(row: ExportRow) -> Export:
    """An export's row as the API shows it."""
    result = row.result or {}
    return Export(
        id=row.id,
        search=row.search,
        trial=row.trial,
        state=JobState(row.state),
        stage=row.stage,
        message=row.message,
        folder=row.folder,
        scores=result.get("scores"),
        largest_difference=result.get("largest_difference"),
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


def _folder(context: ServiceContext, wanted: str | None, default: str) -> Path:
    """A folder that nobody has.

    Raises:
        StateError: the wanted one is taken.
    """
    root = context.settings.exports
    promised = {row.folder for row in context.exports.active()}

    def is_taken(name: str) -> bool:
        return str(root / name) in promised or (root / name).exists() or (root / name).is_symlink()

    if wanted is not None and is_taken(wanted):
        raise StateError(f"`to` must be a new folder, but '{wanted}' exists below the root of exports. Name another.")
    return root / (wanted or _free_name(default, is_taken))


def _free_name(default: str, is_taken: Callable[[str], bool]) -> str:
    names = (default if number == 1 else f"{default}-{number}" for number in count(1))
    return next(name for name in names if not is_taken(name))
