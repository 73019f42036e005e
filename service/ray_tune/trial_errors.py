"""What an error of a trial of Ray Tune's means for the study."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError

from search_spaces.errors import GenerationError, PoolError, RecipeError, UserError
from workers.evaluation import Evaluation, FailureReason


def error_of(trials: Sequence[Any], trial_id: str) -> BaseException | None:
    """The error that a trial ended in; None where Tune kept none.

    Args:
        trials: Tune's.
        trial_id: of one among them.
    """
    path = next((trial.pickled_error_file for trial in trials if trial.trial_id == trial_id), None)
    if path is None or not Path(path).is_file():
        return None
    error: BaseException = pickle.loads(Path(path).read_bytes())
    return error


def failed_by(error: BaseException | None) -> Evaluation:
    """What the study is told of a trial that ended in an error."""
    reason = FailureReason.WORKER_LOST if isinstance(error, RayActorError) else FailureReason.INTERNAL_ERROR
    message = "The trial ended in an error, which Ray Tune keeps in its folder." if error is None else str(error)
    return Evaluation(failure=reason, message=message)


def check_concerns_one(error: BaseException | None) -> None:
    """Whether another candidate could fare better: a search whose models cannot be read shall not spend its budget.

    Raises:
        PoolError: none could; with what it came to.
    """
    cause = getattr(error, "cause", None)
    concerns_all = isinstance(cause, GenerationError | UserError) and not isinstance(cause, RecipeError)
    if concerns_all or getattr(error, "actor_init_failed", False):
        # A worker that cannot start says so at the end of a traceback.
        said = str(cause) if concerns_all else str(error).strip().splitlines()[-1]
        raise PoolError(f"The workers must start and find their models and sets, but one did not: {said}")
