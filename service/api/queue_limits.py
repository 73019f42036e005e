"""How much clients may let wait: jobs go before searches, and none shall keep the others out."""

from __future__ import annotations

from search_spaces.errors import StateError
from service.api.context import ServiceContext
from service.registry import SearchState

# Exports and completions of one search that have not ended; each takes seconds to minutes.
MAX_JOBS = 20
# Searches that wait for a slot.
MAX_QUEUED = 1000


def check_job_queue(context: ServiceContext, search: str) -> None:
    """Refuse one more export or set of completions of a search of which too many wait.

    Raises:
        StateError: wait for those before.
    """
    active = (*context.exports.active(), *context.completions.active())
    n_active = sum(row.search == search for row in active)
    if n_active >= MAX_JOBS:
        raise StateError(
            f"A search may have {MAX_JOBS} exports and completions under way at most, but '{search}' has {n_active}. "
            "Ask again when some have ended."
        )


def check_search_queue(context: ServiceContext) -> None:
    """Refuse one more search where too many wait.

    Raises:
        StateError: wait for those before, or stop some.
    """
    n_queued = len(context.searches.in_states([SearchState.QUEUED]))
    if n_queued >= MAX_QUEUED:
        raise StateError(f"At most {MAX_QUEUED} searches may wait, but {n_queued} do. Stop some, or try again later.")
