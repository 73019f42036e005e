"""Completions: prompts answered side by side."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.context import Context
from service.api.parameters import JobId, SearchName
from service.api.queue_limits import check_job_queue
from service.api.schemas import Completions, CompletionsRequested
from service.api.selected_trial import selected_trial
from service.registry import CompletionsRow, JobState

router = APIRouter(tags=["completions"])


@router.post(
    "/v1/searches/{name}/completions",
    status_code=202,
    operation_id="requestCompletions",
    summary="Let models answer prompts side by side",
    responses={
        202: {
            "description": "They are queued.",
            "headers": {"Location": {"description": "Where they will be.", "schema": {"type": "string"}}},
        },
        409: {"description": "Too many jobs wait."},
    },
)
def request_completions(
    name: SearchName, context: Context, response: Response, wanted: CompletionsRequested
) -> Completions:
    """Prompts for a trial's merge, the base and every expert; they answer greedily."""
    context.searches.get(name)
    check_job_queue(context, name)
    trial = selected_trial(context, name, wanted.trial)
    row = context.completions.create(CompletionsRow(search=name, trial=trial.number, prompts=list(wanted.prompts)))
    response.headers["Location"] = f"/v1/completions/{row.id}"
    return _shown(row)


@router.get("/v1/completions/{id}", operation_id="getCompletions", summary="The answers")
def get_completions(id: JobId, context: Context) -> Completions:
    """How far they are, and what was answered."""
    return _shown(context.completions.get(id))


def _shown(row: CompletionsRow) -> Completions:
    return Completions(
        id=row.id,
        search=row.search,
        trial=row.trial,
        state=JobState(row.state),
        message=row.message,
        prompts=tuple(row.prompts),
        answers=(row.result or {}).get("answers"),
    )
