"""The finished trials of a search: by the page, and one with all that is known of it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from search_spaces.errors import MissingError
from service.api.cached_answers import NOT_MODIFIED, answer
from service.api.context import Context
from service.api.parameters import SearchName
from service.api.schemas import TrialDetail, TrialsPage
from service.study_views import StudyView
from service.study_views.coefficients import CoefficientTable
from service.study_views.rendering import detail_body, trial_json, trials_body
from service.study_views.stored_rows import read_params, read_scores_of

router = APIRouter(tags=["trials"])

# Trial numbers and offsets are integers of Postgres.
_LARGEST = 2**31 - 1

Offset = Annotated[int, Query(ge=0, le=_LARGEST, description="How many trials to pass over.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many trials to give.")]
WithParams = Annotated[bool, Query(description="Whether to give the trials' parameters.")]
Number = Annotated[int, Path(ge=0, le=_LARGEST, description="The trial's number.", examples=[0])]


@router.get(
    "/v1/searches/{name}/trials",
    response_model=TrialsPage,
    operation_id="listTrials",
    summary="Finished trials",
    responses=NOT_MODIFIED,
)
async def list_trials(
    name: SearchName,
    request: Request,
    context: Context,
    offset: Offset = 0,
    limit: Limit = 100,
    params: WithParams = False,
) -> Response:
    """By number, failed ones included; a trial that finishes late may come before some that were given already."""
    make = partial(_page, context, offset=offset, limit=limit, params=params)
    return answer(request, await context.views.body(name, ("trials", offset, limit, params), make))


@router.get(
    "/v1/searches/{name}/trials/{number}",
    response_model=TrialDetail,
    operation_id="getTrial",
    summary="One finished trial",
    responses=NOT_MODIFIED,
)
async def get_trial(name: SearchName, number: Number, request: Request, context: Context) -> Response:
    """With coefficients and all scores, those on held-out examples included.

    Where the base model can no longer be read, a parameter group in which nothing is searched is left out of the
    coefficients: only the model's tensors tell of it.
    """
    return answer(request, await context.views.body(name, ("trial", number), partial(_detail, context, number)))


def _page(context: Context, view: StudyView, *, offset: int, limit: int, params: bool) -> bytes:
    found = None
    if params:
        numbers = {view.arrivals[trial.number]: trial.number for trial in view.trials[offset : offset + limit]}
        with context.engine.connect() as connection:
            by_id = read_params(connection, numbers)
        found = {numbers[trial_id]: values for trial_id, values in by_id.items()}
    return trials_body(view, offset, limit, found)


def _detail(context: Context, number: int, view: StudyView) -> bytes:
    trial = view.trial(number)
    if trial is None:
        n_trials = len(view.trials)
        raise MissingError(
            f"A trial must be one of the {n_trials} finished ones of '{view.name}', but there is no finished {number}."
        )
    trial_id = view.arrivals[number]
    with context.engine.connect() as connection:
        params = read_params(connection, [trial_id]).get(trial_id, {})
        scores = read_scores_of(connection, trial_id, trial, view.objectives)
    return detail_body(trial_json(trial, view.objectives), params, scores, CoefficientTable(view).of(params))
