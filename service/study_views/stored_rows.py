"""What a study's tables hold, read by the row and without Optuna, whose loading of a long study takes seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from service.search.measures import HOLDOUT
from service.studies import FinishedTrial
from service.studies.finished_trials import finished_trial
from service.studies.trial_cost import COST
from workers.evaluation import Score

# One statement, hence one moment: trials and held-out scores belong together. Sums tell whether any score has changed.
_HEAD = text(
    "SELECT study_id, value_json,"
    " (SELECT array_agg(trial_id) FROM trials WHERE study_id = s.study_id AND state IN ('COMPLETE', 'FAIL'))"
    " AS finished,"
    " (SELECT ARRAY[count(*), coalesce(sum(value), 0), coalesce(sum(standard_error), 0)]"
    f" FROM paretomerge_scores JOIN trials USING (trial_id) WHERE study_id = s.study_id AND measure LIKE '%{HOLDOUT}')"
    " AS holdout"
    " FROM studies s JOIN study_user_attributes USING (study_id) WHERE study_name = :name AND key = 'paretomerge'"
)
_KEYS = ("standard_errors", "landmark", "make_s", "score_s", "failure", "share", "gradient_failure")
# Attributes are JSON already: an object of them is one text to be parsed.
_TRIALS = text(
    "SELECT trial_id, number, state,"
    " (SELECT array_agg(value ORDER BY objective) FROM trial_values v WHERE v.trial_id = t.trial_id) AS scored,"
    " (SELECT string_agg('\"' || key || '\":' || value_json, ',') FROM trial_user_attributes a"
    "  WHERE a.trial_id = t.trial_id AND key = ANY(:keys)) AS attributes,"
    " (SELECT CAST(value_json AS float8) FROM trial_system_attributes s"
    f"  WHERE s.trial_id = t.trial_id AND key = '{COST}') AS cost"
    " FROM trials t WHERE trial_id = ANY(:trials) ORDER BY number"
)
_HELD_OUT = text(
    "SELECT number, measure, value, standard_error, cardinality(per_example) AS n"
    " FROM paretomerge_scores JOIN trials USING (trial_id)"
    f" WHERE study_id = :study AND measure LIKE '%{HOLDOUT}' ORDER BY number, measure"
)
_PARAMS = text(
    "SELECT trial_id, array_agg(param_name ORDER BY param_id) AS names,"
    " array_agg(param_value ORDER BY param_id) AS amounts"
    " FROM trial_params WHERE trial_id = ANY(:trials) GROUP BY trial_id"
)
_SCORES = text(
    "SELECT measure, value, standard_error, cardinality(per_example) AS n FROM paretomerge_scores"
    " WHERE trial_id = :trial ORDER BY measure"
)
_N_EXAMPLES = text("SELECT value_json FROM trial_user_attributes WHERE trial_id = :trial AND key = 'n_examples'")


@dataclass(frozen=True, slots=True)
class StudyHead:
    """What tells whether a study has moved on.

    Args:
        study_id: Optuna's; another one after a study was deleted and made again.
        attribute: our JSON with objectives and specification.
        finished: ids of the trials that are complete or failed.
        holdout: changes with the scores on held-out examples.
    """

    study_id: int
    attribute: str
    finished: frozenset[int]
    holdout: tuple[float, ...]

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of the trials' values."""
        return tuple(json.loads(self.attribute)["objectives"])

    @property
    def specification(self) -> dict[str, Any]:
        """As its driver stored it."""
        found: dict[str, Any] = json.loads(self.attribute)["specification"]
        return found


def read_head(connection: Connection, name: str) -> StudyHead | None:
    """The head of a study; None while there is none of ours under the name."""
    row = connection.execute(_HEAD, {"name": name}).one_or_none()
    if row is None:
        return None
    return StudyHead(row.study_id, row.value_json, frozenset(row.finished or ()), tuple(row.holdout))


def read_finished_trials(connection: Connection, trial_ids: Iterable[int]) -> Iterator[tuple[int, FinishedTrial]]:
    """Trial id and trial, by number and without parameters."""
    for row in connection.execute(_TRIALS, {"trials": list(trial_ids), "keys": list(_KEYS)}):
        values = tuple(row.scored) if row.state == "COMPLETE" else ()
        attributes = json.loads(f"{{{row.attributes or ''}}}")
        yield row.trial_id, finished_trial(row.number, {}, values, attributes, row.cost or 1.0)


def read_held_out(connection: Connection, study_id: int) -> dict[int, dict[str, Score]]:
    """Trial number → measure, with its suffix → score, without the examples' own."""
    found: dict[int, dict[str, Score]] = {}
    for row in connection.execute(_HELD_OUT, {"study": study_id}):
        found.setdefault(row.number, {})[row.measure] = Score(row.value, row.standard_error, row.n, ())
    return found


def read_params(connection: Connection, trial_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """Trial id → parameters."""
    rows = connection.execute(_PARAMS, {"trials": list(trial_ids)})
    return {row.trial_id: dict(zip(row.names, row.amounts, strict=True)) for row in rows}


def read_scores_of(
    connection: Connection, trial_id: int, trial: FinishedTrial, objectives: Iterable[str]
) -> Mapping[str, Score]:
    """Measure → score of one trial, without the examples' own; of one that lost a race its estimates."""
    numbers = connection.execute(_N_EXAMPLES, {"trial": trial_id}).scalar_one_or_none()
    if trial.was_stopped and numbers is not None:
        columns = zip(objectives, trial.values, trial.standard_errors, json.loads(numbers), strict=True)
        return {objective: Score(value, error, n, ()) for objective, value, error, n in columns}
    rows = connection.execute(_SCORES, {"trial": trial_id})
    return {row.measure: Score(row.value, row.standard_error, row.n, ()) for row in rows}
