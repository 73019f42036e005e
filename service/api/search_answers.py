"""Rows of searches as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from service.api.schemas import SearchDetail, SearchSummary
from service.registry import SearchRow, SearchState
from service.studies.trial_cost import COST

# One statement for all searches: to load a study of 5,000 trials takes seconds.
_COUNTS = text(
    "SELECT study_name AS name,"
    " count(*) FILTER (WHERE state IN ('COMPLETE', 'FAIL')) AS finished,"
    " count(*) FILTER (WHERE state = 'FAIL') AS failed,"
    " count(*) FILTER (WHERE state = 'RUNNING') AS running,"
    " coalesce(sum(coalesce(CAST(a.value_json AS float8), 1)) FILTER (WHERE state IN ('COMPLETE', 'FAIL')), 0) AS spent"
    " FROM studies JOIN trials t USING (study_id)"
    f" LEFT JOIN trial_system_attributes a ON a.trial_id = t.trial_id AND a.key = '{COST}'"
    " WHERE study_name = ANY(:names) GROUP BY study_name"
)


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """How many trials of a study are done, failed among them, and under way; and what those cost that are done."""

    finished: int = 0
    failed: int = 0
    running: int = 0
    spent: float = 0.0


def count_trials(engine: Engine, names: Sequence[str]) -> dict[str, TrialCounts]:
    """Study → its counts; studies without trials are left out."""
    with engine.connect() as connection:
        rows = connection.execute(_COUNTS, {"names": list(names)}).all()
    return {row.name: TrialCounts(row.finished, row.failed, row.running, row.spent) for row in rows}


def summaries(engine: Engine, rows: Sequence[SearchRow]) -> tuple[SearchSummary, ...]:
    """Searches in a list, in the order of their rows."""
    counts = count_trials(engine, [row.name for row in rows])
    return tuple(SearchSummary(**_shown(row, counts.get(row.name, TrialCounts()))) for row in rows)


def detail(engine: Engine, row: SearchRow) -> SearchDetail:
    """One search with what it was asked to do."""
    counts = count_trials(engine, [row.name]).get(row.name, TrialCounts())
    return SearchDetail(
        **_shown(row, counts),
        specification=row.specification,
        holdout_measures=_holdout_measures(row.specification),
    )


_DRIVEN = tuple(state for state in SearchState if state.has_driver)


def _shown(row: SearchRow, counts: TrialCounts) -> dict[str, Any]:
    is_external = row.state == SearchState.EXTERNAL
    return {
        "name": row.name,
        "state": SearchState(row.state),
        "message": row.message,
        "objectives": tuple(row.specification.get("objectives", {})),
        "budget": row.specification.get("search", {}).get("evaluations", 0),
        "n_finished": counts.finished,
        "spent_evaluations": counts.spent,
        "n_failed": counts.failed,
        # Those of a driver that was killed wait for the next one.
        "n_running": counts.running if is_external or row.state in _DRIVEN else 0,
        "n_workers": row.n_alive,
        # When a command made its study is not stored.
        "created_at": None if is_external else row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }


def _holdout_measures(specification: dict[str, Any]) -> tuple[str, ...]:
    """Objectives over a set, which holds examples out if it can; and reports, which need them."""
    sections = (specification.get("objectives", {}), specification.get("report", {}))
    return tuple(name for section in sections for name, measure in section.items() if measure.get("set"))
