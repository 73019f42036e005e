"""Optuna's trials read by one statement: Optuna makes an object of every parameter, which takes most of a minute."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Row, text

# Few texts, of which each stands at thousands of trials.
_distribution = lru_cache(maxsize=None)(json_to_distribution)

_COLUMNS = (
    "SELECT trial_id, number, state, datetime_start, datetime_complete, p.names, p.amounts, p.kinds,"
    " (SELECT array_agg(CASE value_type WHEN 'INF_POS' THEN 'Infinity' WHEN 'INF_NEG' THEN '-Infinity' ELSE value END"
    "  ORDER BY objective) FROM trial_values v WHERE v.trial_id = t.trial_id) AS scored,"
    # Attributes are JSON already: an object of them is one text to be parsed.
    " (SELECT string_agg(CAST(to_json(key) AS text) || ':' || value_json, ',') FROM trial_user_attributes a"
    "  WHERE a.trial_id = t.trial_id) AS user_attributes,"
    " (SELECT string_agg(CAST(to_json(key) AS text) || ':' || value_json, ',') FROM trial_system_attributes a"
    "  WHERE a.trial_id = t.trial_id) AS system_attributes"
    " FROM trials t, LATERAL (SELECT array_agg(param_name ORDER BY param_id) AS names,"
    "  array_agg(param_value ORDER BY param_id) AS amounts, array_agg(distribution_json ORDER BY param_id) AS kinds"
    "  FROM trial_params WHERE trial_id = t.trial_id) p"
)
_ALL = text(f"{_COLUMNS} WHERE study_id = :study ORDER BY trial_id")
_SOME = text(f"{_COLUMNS} WHERE trial_id = ANY(:trials) ORDER BY trial_id")


def read_all_trials(connection: Connection, study_id: int) -> Iterator[FrozenTrial]:
    """Every trial of a study by number, as Optuna would read it; without intermediate values, of which it has none."""
    return map(_trial, connection.execute(_ALL, {"study": study_id}))


def read_trials(connection: Connection, trial_ids: Sequence[int]) -> Iterator[FrozenTrial]:
    """Likewise, some of them."""
    return map(_trial, connection.execute(_SOME, {"trials": list(trial_ids)}))


def _trial(row: Row[Any]) -> FrozenTrial:
    names = row.names or ()
    distributions = dict(zip(names, map(_distribution, row.kinds or ()), strict=True))
    params = zip(names, row.amounts or (), strict=True)
    return FrozenTrial(
        number=row.number,
        state=TrialState[row.state],
        value=None,
        values=row.scored,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={name: distributions[name].to_external_repr(amount) for name, amount in params},
        distributions=distributions,
        user_attrs=_attributes(row.user_attributes),
        system_attrs=_attributes(row.system_attributes),
        intermediate_values={},
        trial_id=row.trial_id,
    )


def _attributes(members: str | None) -> dict[str, Any]:
    found: Mapping[str, Any] = json.loads(f"{{{members or ''}}}")
    return dict(found)


def _local(utc: datetime | None) -> datetime | None:
    """As Optuna shows times: of this place, without saying so."""
    return None if utc is None else utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
