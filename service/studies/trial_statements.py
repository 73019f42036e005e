"""What the database is told of a trial: each bundle of statements is one round trip and one transaction.

A connection may be lost before anybody knows whether a transaction was committed, and the bundle is then sent again,
with `repeated` true (see `RoundTrips`). That is safe because whatever writes to a running trial asks for its lease, and
because what was done by the first attempt is found and not done again:

    create   a trial that runs under this driver's lease, of which the driver does not know, is the one
    claim    a trial that runs under this driver's lease is claimed
    write    parameters and attributes are replaced by themselves
    finish   no lease, but the same state and values: they were stored (see `StudyStorage`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json

from service.database.round_trips import Statement
from service.studies.driver import LEASE_S
from service.studies.score_table import score_statements
from service.studies.trial_cost import COST, REQUEST
from service.studies.trial_ledger import Settled
from workers.evaluation import Score

_distribution_json = lru_cache(maxsize=None)(distribution_to_json)

# A statement of its own, so that the next one sees what was committed while it waited.
_LOCK_STUDY = "SELECT study_id FROM studies WHERE study_id = %(study)s FOR UPDATE"
# Trials that are new, that this driver has lost, or that have changed: a finished one never does, so that what is
# looked at does not grow with the study.
_NEWS = (
    "SELECT trial_id FROM trials WHERE study_id = %(study)s AND trial_id > %(settled_to)s"
    " AND trial_id <> ALL(CAST(%(ours)s AS int[]))"
    " UNION ALL SELECT ours.trial_id FROM unnest(CAST(%(ours)s AS int[])) AS ours (trial_id) WHERE NOT EXISTS"
    "  (SELECT FROM paretomerge_leases l WHERE l.trial_id = ours.trial_id AND l.driver = %(driver)s)"
    " UNION ALL SELECT t.trial_id"
    "  FROM unnest(CAST(%(others)s AS int[]), CAST(%(states)s AS text[]), CAST(%(costs)s AS float8[]))"
    "  AS k (trial_id, state, cost)"
    "  JOIN trials t USING (trial_id) LEFT JOIN trial_system_attributes a ON a.trial_id = t.trial_id AND key = %(cost)s"
    "  WHERE CAST(t.state AS text) <> k.state OR coalesce(CAST(value_json AS float8), 1) <> k.cost"
)
# Beside what is settled. What waits may have a cost from when it ran, which is not to be counted.
_TALLY = (
    "tally AS (SELECT %(n_settled)s + count(*) FILTER (WHERE t.trial_id > %(settled_to)s) AS n_trials,"
    " CAST(%(spent_settled)s AS float8) + coalesce(sum(coalesce(CAST(value_json AS float8), 1))"
    " FILTER (WHERE state <> 'WAITING' AND t.trial_id <> %(besides)s), 0) AS spent"
    " FROM trials t LEFT JOIN trial_system_attributes a ON a.trial_id = t.trial_id AND key = %(cost)s"
    " WHERE study_id = %(study)s"
    " AND (t.trial_id > %(settled_to)s OR t.trial_id = ANY(CAST(%(unfinished)s AS int[]))))"
)
_HAS_LEASE = "EXISTS (SELECT FROM paretomerge_leases l WHERE l.trial_id = {trial} AND l.driver = %(driver)s)"
_OURS = _HAS_LEASE.format(trial="%(trial)s")
_LEASE = (
    "leased AS (INSERT INTO paretomerge_leases (trial_id, driver, expires_at)"
    " SELECT trial_id, %(driver)s, now() + make_interval(secs => %(lease_s)s) FROM {trials})"
)
_CREATE = (
    f"WITH {_TALLY},"
    " known AS (SELECT trial_id, number FROM trials WHERE %(repeated)s AND study_id = %(study)s AND state = 'RUNNING'"
    f" AND trial_id <> ALL(%(known)s) AND {_HAS_LEASE.format(trial='trials.trial_id')} LIMIT 1),"
    " created AS (INSERT INTO trials (number, study_id, state, datetime_start)"
    " SELECT n_trials, %(study)s, 'RUNNING', now() AT TIME ZONE 'UTC' FROM tally"
    " WHERE spent + 1 <= %(limit)s AND NOT EXISTS (SELECT FROM known) RETURNING trial_id, number),"
    f" {_LEASE.format(trials='created')}"
    " SELECT trial_id, number FROM known UNION ALL SELECT trial_id, number FROM created"
)
# As a plain one: what it cost before is gone.
_CLAIM = (
    f"WITH {_TALLY},"
    " claimed AS (UPDATE trials SET state = 'RUNNING', datetime_start = now() AT TIME ZONE 'UTC' FROM tally"
    " WHERE trial_id = %(trial)s AND state = 'WAITING' AND spent + 1 <= %(limit)s RETURNING trial_id),"
    f" {_LEASE.format(trials='claimed')},"
    " plain AS (DELETE FROM trial_system_attributes WHERE trial_id IN (SELECT trial_id FROM claimed)"
    " AND key = ANY(%(keys)s))"
    f" SELECT EXISTS (SELECT FROM claimed) OR %(repeated)s AND {_OURS}, spent + 1 <= %(limit)s FROM tally"
)
# Nobody takes the trial up while its lease is locked.
_HOLD = "SELECT trial_id FROM paretomerge_leases WHERE trial_id = %(trial)s AND driver = %(driver)s FOR UPDATE"
_PARAMS = (
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " SELECT %(trial)s, * FROM unnest(CAST(%(names)s AS text[]), CAST(%(values)s AS float8[]),"
    f" CAST(%(kinds)s AS text[])) WHERE {_OURS}"
    " ON CONFLICT (trial_id, param_name) DO UPDATE"
    " SET param_value = excluded.param_value, distribution_json = excluded.distribution_json"
)
_ATTRIBUTES = (
    "INSERT INTO {table} (trial_id, key, value_json)"
    " SELECT %(trial)s, * FROM unnest(CAST(%(keys)s AS text[]), CAST(%(values)s AS text[])) WHERE {condition}"
    " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
)
_USER_ATTRIBUTES = _ATTRIBUTES.format(table="trial_user_attributes", condition=_OURS)
_SYSTEM_ATTRIBUTES = _ATTRIBUTES.format(table="trial_system_attributes", condition=_OURS)
_PAID_ATTRIBUTES = _ATTRIBUTES.format(table="trial_system_attributes", condition=f"{_OURS} AND (SELECT fits FROM room)")
_PAY = (
    f"WITH {_TALLY}, room AS (SELECT spent + %(price)s <= %(limit)s AS fits FROM tally),"
    f" paid AS ({_PAID_ATTRIBUTES}),"
    " plain AS (DELETE FROM trial_system_attributes"
    f" WHERE trial_id = %(trial)s AND key = ANY(%(keys)s) AND NOT (SELECT fits FROM room) AND {_OURS})"
    " SELECT fits FROM room"
)
_FINISH = (
    "WITH released AS (DELETE FROM paretomerge_leases WHERE trial_id = %(trial)s AND driver = %(driver)s"
    " RETURNING trial_id),"
    " told AS (INSERT INTO trial_values (trial_id, objective, value, value_type)"
    " SELECT trial_id, ordinality - 1, value, 'FINITE'"
    " FROM released, unnest(CAST(%(values)s AS float8[])) WITH ORDINALITY AS given (value, ordinality))"
    " UPDATE trials SET state = %(state)s, datetime_complete = now() AT TIME ZONE 'UTC'"
    " WHERE trial_id IN (SELECT trial_id FROM released)"
)
_STORED = (
    "SELECT CAST(state AS text),"
    " ARRAY(SELECT value FROM trial_values v WHERE v.trial_id = t.trial_id ORDER BY objective)"
    " FROM trials t WHERE trial_id = %(trial)s"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a study's, told without looking at trials that can change no more.

    Args:
        study_id: Optuna's.
        limit: what trials may cost together.
        settled: the part of the study that is known.
        unfinished: its trials that waited or ran when they were last seen.
    """

    study_id: int
    limit: float
    settled: Settled
    unfinished: Sequence[int]

    def given(self, besides: int = -1) -> dict[str, Any]:
        """What statements are given of it.

        Args:
            besides: a trial whose cost is not counted.
        """
        return {
            "study": self.study_id,
            "limit": self.limit,
            "settled_to": self.settled.up_to,
            "n_settled": self.settled.n_trials,
            "spent_settled": self.settled.spent,
            "unfinished": list(self.unfinished),
            "besides": besides,
            "cost": COST,
        }


def news(
    study_id: int, driver: str, settled_to: int, ours: Sequence[int], others: Mapping[int, tuple[str, float]]
) -> Statement:
    """Ask for the ids of the trials that are to be read, or to be read again.

    Args:
        study_id: Optuna's.
        driver: who asks.
        settled_to: see `Settled.up_to`.
        ours: trials that this driver runs.
        others: those that wait, or that others run → state and cost when they were last seen.
    """
    given = {"study": study_id, "driver": driver, "settled_to": settled_to, "ours": list(ours), "cost": COST}
    states, costs = [state for state, _ in others.values()], [cost for _, cost in others.values()]
    return _NEWS, {**given, "others": list(others), "states": states, "costs": costs}


def create(budget: Budget, driver: str, known: Sequence[int]) -> list[Statement]:
    """Make a trial that runs, and its lease.

    Args:
        budget: for which there must be room in it.
        driver: who runs it.
        known: those that the driver runs already.

    Returns:
        Statements, the last of which answers with its id and number; with nothing where it does not fit.
    """
    given = {"driver": driver, "known": list(known), **budget.given(), "lease_s": LEASE_S}
    return [(_LOCK_STUDY, given), (_CREATE, given)]


def claim(budget: Budget, trial_id: int, driver: str) -> list[Statement]:
    """Let a trial that waits run, as a plain one.

    Returns:
        Statements, the last of which answers whether it does, and whether it fitted.
    """
    given = {"trial": trial_id, "driver": driver, **budget.given(), "lease_s": LEASE_S}
    return [(_LOCK_STUDY, given), (_CLAIM, {**given, "keys": [COST, REQUEST]})]


def hold(trial_id: int, driver: str) -> Statement:
    """Lock the lease of a trial; answers with nothing where another driver has it, and then nothing is written."""
    return _HOLD, {"trial": trial_id, "driver": driver}


def write(
    trial_id: int,
    driver: str,
    params: Mapping[str, tuple[float, BaseDistribution]],
    user_attributes: Mapping[str, Any],
    system_attributes: Mapping[str, Any],
) -> list[Statement]:
    """Write parameters and attributes of a trial that runs."""
    given = {"trial": trial_id, "driver": driver}
    statements: list[Statement] = []
    if params:
        values, distributions = zip(*params.values(), strict=True)
        kinds = [_distribution_json(distribution) for distribution in distributions]
        statements.append((_PARAMS, {**given, "names": list(params), "values": list(values), "kinds": kinds}))
    for statement, attributes in ((_USER_ATTRIBUTES, user_attributes), (_SYSTEM_ATTRIBUTES, system_attributes)):
        if attributes:
            statements.append((statement, {**given, **_columns(attributes)}))
    return statements


def pay(budget: Budget, trial_id: int, driver: str, marks: Mapping[str, Any]) -> list[Statement]:
    """Let a trial cost more than a plain one, if that fits.

    Args:
        budget: of its study.
        trial_id: Optuna's.
        driver: who runs it.
        marks: its attributes that say what it costs and why; they are written, or gone.

    Returns:
        Statements, the last of which answers whether it fits.
    """
    given = {"trial": trial_id, "driver": driver, **budget.given(trial_id), "price": float(marks[COST])}
    return [(_LOCK_STUDY, given), (_PAY, {**given, **_columns(marks)})]


def finish(
    trial_id: int, driver: str, state: str, values: Sequence[float] | None, scores: Mapping[str, Score]
) -> list[Statement]:
    """Give up the lease of a trial, and with it the right to write; its state, values and scores."""
    given = {"trial": trial_id, "driver": driver}
    last = (_FINISH, {**given, "state": state, "values": list(values or ())})
    return [*score_statements(trial_id, scores, _OURS, driver=driver), last]


def stored(trial_id: int) -> Statement:
    """What a trial's state and values are."""
    return _STORED, {"trial": trial_id}


def _columns(attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    return {"keys": list(attributes), "values": [json.dumps(value) for value in attributes.values()]}
