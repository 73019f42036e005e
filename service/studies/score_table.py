"""The table of scores: each trial by each measure, example by example."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, text

from workers.evaluation import Score

_WRITE = text(
    "INSERT INTO paretomerge_scores (trial_id, measure, value, standard_error, per_example)"
    " VALUES (:trial, :measure, :value, :standard_error, CAST(:per_example AS float8[]))"
    " ON CONFLICT (trial_id, measure) DO UPDATE SET value = excluded.value,"
    " standard_error = excluded.standard_error, per_example = excluded.per_example"
)
_READ = (
    "SELECT number, measure, value, standard_error, cardinality(per_example) AS n, {examples} AS per_example"
    " FROM paretomerge_scores JOIN trials USING (trial_id) JOIN studies USING (study_id)"
    " WHERE study_name = :study {condition} ORDER BY number, measure"
)
_NO_EXAMPLES = "CAST('{}' AS float8[])"


def write_scores(connection: Connection, trial_id: int, scores: Mapping[str, Score]) -> None:
    """Write a trial's scores; a measure that it has already is replaced.

    Args:
        connection: whose transaction they belong to.
        trial_id: Optuna's.
        scores: measure → score.
    """
    rows = [
        {
            "trial": trial_id,
            "measure": measure,
            "value": score.value,
            "standard_error": score.standard_error,
            "per_example": list(score.per_example),
        }
        for measure, score in scores.items()
    ]
    if rows:
        connection.execute(_WRITE, rows)


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
