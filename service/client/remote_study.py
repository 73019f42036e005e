"""A study as a service tells of it, in the form in which the database gives it."""

from __future__ import annotations

from search_spaces.errors import MissingError, SelectionError
from service.api.schemas import Front, MeasureScore, SearchDetail, Trial
from service.client.remote_service import RemoteService
from service.search.measures import HOLDOUT
from service.studies import FinishedTrial, StoredStudy, StudyIdentity
from workers.evaluation import Score


def load_remote_study(service: RemoteService, name: str) -> StoredStudy:
    """Read a study.

    Its trials come without parameters, and its scores are those of front and landmarks on held-out examples.

    Raises:
        SelectionError: there is none of that name; the message lists those that are.
        ServiceError: the service does not answer as it should.
    """
    try:
        detail = service.search(name)
    except MissingError:
        known = ", ".join(search.name for search in service.searches().searches[:10]) or "none"
        raise SelectionError(
            f"A search must exist to be read, but there is none named '{name}'. There are: {known}."
        ) from None
    trials = tuple(finished_trial(trial, detail.objectives) for trial in service.trials(name))
    # What has no front has no verdict.
    scores = _scores(service.front(name)) if any(trial.succeeded for trial in trials) else {}
    return StoredStudy(_identity(detail), trials, scores)


def finished_trial(trial: Trial, objectives: tuple[str, ...]) -> FinishedTrial:
    """A trial of the API as the front reads it."""
    is_complete = trial.state == "complete"
    return FinishedTrial(
        number=trial.number,
        params=trial.params or {},
        values=tuple(trial.values[name] for name in objectives) if is_complete else (),
        standard_errors=tuple(trial.standard_errors.get(name) for name in objectives) if is_complete else (),
        landmark=trial.landmark or "",
        make_s=trial.make_s,
        score_s=trial.score_s,
        failure=trial.failure or "",
        share=trial.share,
        cost=trial.cost,
        gradient_failure=trial.gradient_failure or "",
    )


def _identity(detail: SearchDetail) -> StudyIdentity:
    return StudyIdentity(detail.name, detail.objectives, {}, detail.specification)


def _scores(front: Front) -> dict[int, dict[str, Score]]:
    return {
        shown.trial: {f"{measure}{HOLDOUT}": _score(score) for measure, score in shown.holdout.items()}
        for shown in (*front.front, *front.landmarks)
    }


def _score(score: MeasureScore) -> Score:
    return Score(score.value, score.standard_error, score.n, ())
