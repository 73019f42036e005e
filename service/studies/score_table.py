"""The table of scores: each trial by each measure, example by example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, text

from service.database.round_trips import Statement
from workers.evaluation import Score

_WRITE = (
    "INSERT INTO paretomerge_scores (trial_id, measure, value, standard_error, per_example)"
    " SELECT %(trial)s, %(measure)s, CAST(%(value)s AS float8), CAST(%(standard_error)s AS float8),"
    " CAST(%(per_example)s AS float8[]) WHERE {condition}"
    " ON CONFLICT (trial_id, measure) DO UPDATE SET value = excluded.value,"
    " standard_error = excluded.standard_error, per_example = excluded.per_example"
)
_READ = (
    "SELECT number, measure, value, standard_error, cardinality(per_example) AS n, {examples} AS per_example"
    " FROM paretomerge_scores JOIN trials USING (trial_id) JOIN studies USING (study_id)"
    " WHERE study_name = :study {condition} ORDER BY number, measure"
)
_NO_EXAMPLES = "CAST('{}' AS float8[])"


def score_statements(
    trial_id: int, scores: Mapping[str, Score], condition: str = "true", **given: Any
) -> list[Statement]:
    """What writes a trial's scores; a measure that it has already is replaced.

    Args:
        trial_id: Optuna's.
        scores: measure → score.
        condition: SQL, without which nothing is written.
        given: what the condition needs.
    """
    statement = _WRITE.format(condition=condition)
    return [
        (
            statement,
            {
                **given,
                "trial": trial_id,
                "measure": measure,
                "value": score.value,
                "standard_error": score.standard_error,
                "per_example": list(score.per_example),
            },
        )
        for measure, score in scores.items()
    ]


def read_scores(engine: Engine, study: str) -> dict[int, dict[str, Score]]:
    """Every trial's scores, without the examples' own: trial number → measure → score."""
    found: dict[int, dict[str, Score]] = {}
    statement = text(_READ.format(examples=_NO_EXAMPLES, condition=""))
    with engine.connect() as connection:
        for row in connection.execute(statement, {"study": study}):
            found.setdefault(row.number, {})[row.measure] = Score(row.value, row.standard_error, row.n, ())
    return found


def read_trial_scores(engine: Engine, study: str, number: int) -> dict[str, Score]:
    """One trial's scores with each example's own: measure → score."""
    statement = text(_READ.format(examples="per_example", condition="AND number = :number"))
    with engine.connect() as connection:
        return {
            row.measure: Score(row.value, row.standard_error, row.n, tuple(row.per_example))
            for row in connection.execute(statement, {"study": study, "number": number})
        }
