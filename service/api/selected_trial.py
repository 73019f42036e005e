"""The trial that a client means, of a study as it stands now."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.errors import MissingError
from service.api.context import ServiceContext
from service.search.selection import select_trial
from service.studies import FinishedTrial


def selected_trial(
    context: ServiceContext, name: str, number: int | None = None, constraints: Sequence[str] = ()
) -> FinishedTrial:
    """One trial; see `service.search.selection.select_trial`.

    Args:
        context: of the service.
        name: of a search that exists.
        number: of the trial.
        constraints: in its place.

    Raises:
        MissingError: no finished trial has that number.
        SelectionError: no trial fits, or it failed.
    """
    study = context.views.get(name)
    if number is not None and study.trial(number) is None:
        raise MissingError(f"`trial` must be the number of a finished trial of '{name}', but {number} is none.")
    return select_trial(study.trials, study.objectives, number, constraints)
