"""Optuna's storage with one round trip for a trial's parameters and one for its result.

Optuna writes every parameter in a transaction of its own: with 40 of them, an ask takes ten times as
long. Here the trials live in memory, writes to a running trial are gathered, and `flush` (after an ask)
and `set_trial_state_values` (a tell) put them into the database at once. It overrides private methods
of Optuna: `optuna` is pinned to one minor version, and a contract test runs both storages side by side.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, text

from service.studies.driver import LEASE_S
from service.studies.score_table import write_scores
from service.studies.trial_cost import COST, REQUEST, cost_of, fits
from service.studies.trial_ledger import TrialLedger
from service.studies.trial_rows import read_all_trials, read_trials
from workers.evaluation import Score

_FINISHED = (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)
_distribution_json = lru_cache(maxsize=None)(distribution_to_json)

LOCK_STUDY = text("SELECT study_id FROM studies WHERE study_id = :study FOR UPDATE")
# Trials that are new, that this driver has lost, or that have changed: a finished one never does, so that what is
# looked at does not grow with the study.
_NEWS = text(
    "SELECT trial_id FROM trials WHERE study_id = :study AND trial_id > :complete_to AND trial_id <> ALL(:ours)"
    " UNION ALL SELECT ours.trial_id FROM unnest(CAST(:ours AS int[])) AS ours (trial_id) WHERE NOT EXISTS"
    "  (SELECT FROM paretomerge_leases l WHERE l.trial_id = ours.trial_id AND l.driver = :driver)"
    " UNION ALL SELECT t.trial_id"
    "  FROM unnest(CAST(:others AS int[]), CAST(:states AS text[]), CAST(:costs AS float8[]))"
    "  AS k (trial_id, state, cost)"
    "  JOIN trials t USING (trial_id) LEFT JOIN trial_system_attributes a ON a.trial_id = t.trial_id AND key = :key"
    "  WHERE CAST(t.state AS text) <> k.state OR coalesce(CAST(value_json AS float8), 1) <> k.cost"
)
# Beside what is settled. What waits may have a cost from when it ran, which is not to be counted.
_SPENT = text(
    "SELECT count(*) FILTER (WHERE t.trial_id > :complete_to) AS n_new,"
    " coalesce(sum(coalesce(CAST(value_json AS float8), 1))"
    " FILTER (WHERE state <> 'WAITING' AND t.trial_id <> :besides), 0) AS spent"
    " FROM trials t LEFT JOIN trial_system_attributes a ON a.trial_id = t.trial_id AND key = :key"
    " WHERE study_id = :study AND (t.trial_id > :complete_to OR t.trial_id = ANY(:unfinished))"
)
_DROP_COST = "DELETE FROM trial_system_attributes WHERE trial_id {which} AND key = ANY(:keys)"
_FALL_BACK = text(_DROP_COST.format(which="= :trial"))
_CREATE = text(
    "INSERT INTO trials (number, study_id, state, datetime_start)"
    " VALUES (:number, :study, 'RUNNING', now() AT TIME ZONE 'UTC') RETURNING trial_id"
)
# As a plain one: what it cost before is gone.
_CLAIM = text(
    "WITH claimed AS (UPDATE trials SET state = 'RUNNING', datetime_start = now() AT TIME ZONE 'UTC'"
    " WHERE trial_id = :trial AND state = 'WAITING' RETURNING trial_id),"
    f" plain AS ({_DROP_COST.format(which='IN (SELECT trial_id FROM claimed)')})"
    " SELECT count(*) FROM claimed"
)
_LEASE = text(
    "INSERT INTO paretomerge_leases (trial_id, driver, expires_at)"
    " VALUES (:trial, :driver, now() + make_interval(secs => :lease_s))"
)
_RELEASE = text("DELETE FROM paretomerge_leases WHERE trial_id = :trial AND driver = :driver")
_FINISH = text("UPDATE trials SET state = :state, datetime_complete = now() AT TIME ZONE 'UTC' WHERE trial_id = :trial")
_INSERT_PARAMS = text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " SELECT :trial, * FROM unnest(CAST(:names AS text[]), CAST(:values AS float8[]), CAST(:kinds AS text[]))"
)
_INSERT_VALUES = text(
    "INSERT INTO trial_values (trial_id, objective, value, value_type)"
    " SELECT :trial, ordinality - 1, value, 'FINITE'"
    " FROM unnest(CAST(:values AS float8[])) WITH ORDINALITY AS given (value, ordinality)"
)
_UPSERT_ATTRIBUTES = {
    table: text(
        f"INSERT INTO {table} (trial_id, key, value_json)"
        " SELECT :trial, * FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[]))"
        " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
    )
    for table in ("trial_user_attributes", "trial_system_attributes")
}


class BudgetSpentError(Exception):
    """No further trial may start: those that are finished or running, by all drivers together, cost the budget."""


class LeaseLostError(Exception):
    """Another driver has taken over the trial; its result, not this one, counts."""


@dataclass(slots=True)
class _Unwritten:
    """What is known of a running trial but not yet in the database."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    trial_user_attributes: dict[str, Any] = field(default_factory=dict)
    trial_system_attributes: dict[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)


class StudyStorage(_CachedStorage):
    """Trials in memory, in step with Postgres; leases and the budget are kept in the same transactions.

    Args:
        backend: Optuna's own storage over the same database.
        driver: the name under which this process holds leases.
        budget: what the finished and running trials of a study may cost together (see `trial_cost`); None for any sum.
    """

    def __init__(self, backend: RDBStorage, driver: str, budget: float | None = None) -> None:
        super().__init__(backend)
        self.driver = driver
        self.budget = budget
        self._engine = backend.engine
        self._unwritten: dict[int, _Unwritten] = {}
        self._ledgers: dict[int, TrialLedger] = {}

    # ---- reading ----

    def ledger(self, study_id: int) -> TrialLedger:
        """The study's trials as this driver knows them; all that there are, the first time."""
        if study_id not in self._ledgers:
            self._ledgers[study_id] = TrialLedger()
            self._studies.setdefault(study_id, _StudyInfo())
            with self._engine.connect() as connection:
                self._take_in(study_id, read_all_trials(connection, study_id))
            self._ledgers[study_id].settle()
        return self._ledgers[study_id]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Optuna's `BaseStorage.get_all_trials`: what is known, for new trials are learned of when one is asked for."""
        ledger = self.ledger(study_id)
        if states is None:
            trials = ledger.trials()
        elif any(state in states for state in _FINISHED):
            trials = [trial for trial in ledger.trials() if trial.state in states]
        else:
            trials = [trial for trial in ledger.unfinished() if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def refresh(self, study_id: int) -> None:
        """Take in what other drivers have done since; one small query where nothing was."""
        self.ledger(study_id)
        with self._engine.connect() as connection:
            trial_ids = self._changed(connection, study_id)
            if trial_ids:
                self._take_in(study_id, read_trials(connection, trial_ids))
        self.ledger(study_id).settle()

    def _changed(self, connection: Connection, study_id: int) -> list[int]:
        """The trials to be read, or to be read again."""
        ledger = self.ledger(study_id)
        unfinished = ledger.unfinished()
        others = [trial for trial in unfinished if trial._trial_id not in self._unwritten]
        known = {
            "ours": [trial._trial_id for trial in unfinished if trial._trial_id in self._unwritten],
            "others": [trial._trial_id for trial in others],
            "states": [trial.state.name for trial in others],
            "costs": [cost_of(trial.system_attrs) for trial in others],
        }
        place = {"study": study_id, "complete_to": ledger.settled.up_to, "driver": self.driver, "key": COST}
        news = connection.execute(_NEWS, known | place).scalars().all()
        # Others' trials that had no parameters yet may have them now.
        unread = {trial._trial_id for trial in others if trial.state == TrialState.RUNNING and not trial.params}
        return [*unread.union(news)]

    def _take_in(self, study_id: int, trials: Iterable[FrozenTrial]) -> None:
        read = list(trials)
        for trial in read:
            self._unwritten.pop(trial._trial_id, None)  # one that is read is not ours, or not any more
        with self._lock:
            self._add_trials_to_cache(study_id, read)

    def _add_trials_to_cache(self, study_id: int, trials: list[FrozenTrial]) -> None:
        super()._add_trials_to_cache(study_id, trials)
        for trial in trials:
            self.ledger(study_id).note(trial)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Optuna's `BaseStorage.get_trial`: from memory where the trial is known."""
        return self._cached(trial_id) or super().get_trial(trial_id)

    def _cached(self, trial_id: int) -> FrozenTrial | None:
        place = self._trial_id_to_study_id_and_number.get(trial_id)
        return None if place is None else self._studies[place[0]].trials[place[1]]

    # ---- ask ----

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Optuna's `BaseStorage.create_new_trial`; a running trial gets a lease.

        Raises:
            BudgetSpentError: see the class.
        """
        ledger = self.ledger(study_id)
        if template_trial is not None:
            return super().create_new_trial(study_id, template_trial)
        with self._engine.begin() as connection:
            number = self._check_budget(connection, study_id)
            trial_id = connection.execute(_CREATE, {"number": number, "study": study_id}).scalar_one()
            self._lease(connection, trial_id)
        with self._lock:
            self._add_trials_to_cache(study_id, [_running(trial_id, number)])
        if number == len(ledger) - 1:
            ledger.settle()  # nobody else had made one before it
        self._unwritten[trial_id] = _Unwritten()
        return int(trial_id)

    def _check_budget(self, connection: Connection, study_id: int) -> int:
        """Lock the study against other asks, and look for room for a plain trial; the number of its trials."""
        n_trials, spent = self._spent(connection, study_id)
        if not fits(spent, 1.0, self.budget):
            raise BudgetSpentError
        return n_trials

    def _spent(self, connection: Connection, study_id: int, besides: int = -1) -> tuple[int, float]:
        """Lock the study; the number of its trials, and what all that do not wait cost, besides one."""
        connection.execute(LOCK_STUDY, {"study": study_id})
        settled = self.ledger(study_id).settled
        given = {"study": study_id, "key": COST, "besides": besides, "complete_to": settled.up_to}
        unfinished = [trial._trial_id for trial in self.ledger(study_id).unfinished()]
        row = connection.execute(_SPENT, given | {"unfinished": unfinished}).one()
        return settled.n_trials + row.n_new, settled.spent + row.spent

    def _lease(self, connection: Connection, trial_id: int) -> None:
        connection.execute(_LEASE, {"trial": trial_id, "driver": self.driver, "lease_s": LEASE_S})

    def is_ours(self, trial_id: int) -> bool:
        """Whether this driver runs the trial, as far as it knows."""
        return trial_id in self._unwritten and self.get_trial(trial_id).state == TrialState.RUNNING

    def take_back(self, trial_id: int, distributions: Mapping[str, BaseDistribution]) -> bool:
        """Run a waiting trial with the parameters, and at the cost if it fits, that it had before its driver was gone.

        Args:
            trial_id: Optuna's.
            distributions: of every parameter.

        Returns:
            False when it does not wait, has lost its parameters, or may not start any more.
        """
        trial = self.get_trial(trial_id)
        params: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
        asked_for = {key: trial.system_attrs[key] for key in (COST, REQUEST) if key in trial.system_attrs}
        if trial.state != TrialState.WAITING or params.keys() != distributions.keys():
            return False
        try:
            if not self._claim(trial_id):
                return False
        except BudgetSpentError:
            return False
        for name, distribution in distributions.items():
            self.set_trial_param(trial_id, name, distribution.to_internal_repr(params[name]), distribution)
        for key, value in asked_for.items():
            self.set_trial_system_attr(trial_id, key, value)
        self.flush(trial_id)
        return True

    def _claim(self, trial_id: int) -> bool:
        """Start a waiting trial, unless another driver was faster."""
        study_id, _ = self._trial_id_to_study_id_and_number[trial_id]
        with self._engine.begin() as connection:
            self._check_budget(connection, study_id)
            claimed = bool(connection.execute(_CLAIM, {"trial": trial_id, "keys": [COST, REQUEST]}).scalar_one())
            if claimed:
                self._lease(connection, trial_id)
        if claimed:
            self.get_trial(trial_id).state = TrialState.RUNNING
            self.get_trial(trial_id).datetime_start = datetime.now()
            self._unwritten[trial_id] = _Unwritten()
            self._make_plain(trial_id)
        return claimed

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Optuna's `BaseStorage.set_trial_param`; written by `flush`."""
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        known = self._studies[study_id].param_distribution.setdefault(param_name, distribution)
        check_distribution_compatibility(known, distribution)
        trial = self._studies[study_id].trials[number]
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution
        self._unwritten[trial_id].params[param_name] = (param_value_internal, distribution)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Optuna's `BaseStorage.set_trial_user_attr`; written by `flush` or with the result."""
        if trial_id not in self._unwritten:
            super().set_trial_user_attr(trial_id, key, value)
            return
        self.get_trial(trial_id).user_attrs[key] = value
        self._unwritten[trial_id].trial_user_attributes[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Optuna's `BaseStorage.set_trial_system_attr`; written by `flush` or with the result."""
        if trial_id not in self._unwritten:
            super().set_trial_system_attr(trial_id, key, value)
            return
        self.get_trial(trial_id).system_attrs[key] = value
        self._unwritten[trial_id].trial_system_attributes[key] = value

    def set_trial_scores(self, trial_id: int, scores: Mapping[str, Score]) -> None:
        """Keep a running trial's scores, example by example; written with its result."""
        self._unwritten[trial_id].scores = scores

    def flush(self, trial_id: int) -> None:
        """Write what was gathered of a running trial: it is durable from here on.

        One that costs more than a plain one, of which there was known to be room, becomes one if its cost does not fit.
        """
        with self._engine.begin() as connection:
            if COST in self.get_trial(trial_id).system_attrs:
                self._pay(connection, trial_id)
            self._write(connection, trial_id)
        self._unwritten[trial_id] = _Unwritten()

    def _pay(self, connection: Connection, trial_id: int) -> None:
        study_id, _ = self._trial_id_to_study_id_and_number[trial_id]
        _, spent = self._spent(connection, study_id, besides=trial_id)
        if not fits(spent, cost_of(self.get_trial(trial_id).system_attrs), self.budget):
            connection.execute(_FALL_BACK, {"trial": trial_id, "keys": [COST, REQUEST]})
            self._make_plain(trial_id)

    def _make_plain(self, trial_id: int) -> None:
        """In memory."""
        for attributes in (self.get_trial(trial_id).system_attrs, self._unwritten[trial_id].trial_system_attributes):
            for key in (COST, REQUEST):
                attributes.pop(key, None)

    def _write(self, connection: Connection, trial_id: int) -> None:
        unwritten = self._unwritten[trial_id]
        if unwritten.params:
            values, distributions = zip(*unwritten.params.values(), strict=True)
            kinds = [_distribution_json(distribution) for distribution in distributions]
            params = {"trial": trial_id, "names": list(unwritten.params), "values": list(values), "kinds": kinds}
            connection.execute(_INSERT_PARAMS, params)
        for table, statement in _UPSERT_ATTRIBUTES.items():
            attributes: dict[str, Any] = getattr(unwritten, table)
            if attributes:
                texts = [json.dumps(value) for value in attributes.values()]
                connection.execute(statement, {"trial": trial_id, "keys": list(attributes), "values": texts})
        write_scores(connection, trial_id, unwritten.scores)

    # ---- tell ----

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Optuna's `BaseStorage.set_trial_state_values`: claims a waiting trial, or finishes a running one.

        Raises:
            BudgetSpentError: when claiming; see the class.
            LeaseLostError: another driver answers for the trial now; nothing is written.
        """
        if state == TrialState.RUNNING:
            return self._claim(trial_id)
        with self._engine.begin() as connection:
            if connection.execute(_RELEASE, {"trial": trial_id, "driver": self.driver}).rowcount == 0:
                raise LeaseLostError
            self._write(connection, trial_id)
            if values is not None:
                connection.execute(_INSERT_VALUES, {"trial": trial_id, "values": list(values)})
            connection.execute(_FINISH, {"trial": trial_id, "state": state.name})
        del self._unwritten[trial_id]
        trial = self.get_trial(trial_id)
        trial.values = None if values is None else list(values)
        trial.state = state
        trial.datetime_complete = datetime.now()
        self.ledger(self._trial_id_to_study_id_and_number[trial_id][0]).note(trial)
        return True


def _running(trial_id: int, number: int) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial_id,
    )
