"""Optuna's storage with one round trip for a trial's parameters and one for its result.

Optuna writes every parameter in a transaction of its own: with 40 of them, an ask takes ten times as
long. Here the trials live in memory, writes to a running trial are gathered, and `flush` (after an ask)
and `set_trial_state_values` (a tell) put them into the database at once: `trial_statements` says how. It overrides
private methods of Optuna: `optuna` is pinned to one minor version, and a contract test runs both storages side by side.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from service.database.round_trips import Statement
from service.studies import trial_statements
from service.studies.driver import Driver
from service.studies.trial_cost import COST, REQUEST, cost_of, limit_of
from service.studies.trial_ledger import TrialLedger
from service.studies.trial_rows import read_all_trials, read_trials
from service.studies.trial_statements import Budget
from workers.evaluation import Score

_FINISHED = (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)

LOCK_STUDY = text("SELECT study_id FROM studies WHERE study_id = :study FOR UPDATE")


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
        driver: this process, which holds leases, and over whose connection is written.
        budget: what the finished and running trials of a study may cost together (see `trial_cost`); None for any sum.
    """

    def __init__(self, backend: RDBStorage, driver: Driver, budget: float | None = None) -> None:
        super().__init__(backend)
        self.driver = driver.name
        self._limit = limit_of(budget)
        self._engine = backend.engine
        self._round_trips = driver.round_trips
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
        trial_ids = self._changed(study_id)
        if trial_ids:
            with self._engine.connect() as connection:
                self._take_in(study_id, read_trials(connection, trial_ids))
        self.ledger(study_id).settle()

    def _changed(self, study_id: int) -> list[int]:
        """The trials to be read, or to be read again."""
        ledger = self.ledger(study_id)
        unfinished = ledger.unfinished()
        others = [trial for trial in unfinished if trial._trial_id not in self._unwritten]
        ours = [trial._trial_id for trial in unfinished if trial._trial_id in self._unwritten]
        states = {trial._trial_id: (trial.state.name, cost_of(trial.system_attrs)) for trial in others}
        [rows], _ = self._round_trips.send(
            trial_statements.news(study_id, self.driver, ledger.settled.up_to, ours, states)
        )
        news = [trial_id for (trial_id,) in rows]
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
        running = list(self._unwritten)
        (*_, created), _ = self._round_trips.send(
            *trial_statements.create(self._budget(study_id), self.driver, running)
        )
        if not created:
            raise BudgetSpentError
        [(trial_id, number)] = created
        with self._lock:
            self._add_trials_to_cache(study_id, [_running(trial_id, number)])
        if number == len(ledger) - 1:
            ledger.settle()  # nobody else had made one before it
        self._unwritten[trial_id] = _Unwritten()
        return int(trial_id)

    def _budget(self, study_id: int) -> Budget:
        ledger = self.ledger(study_id)
        return Budget(study_id, self._limit, ledger.settled, [trial._trial_id for trial in ledger.unfinished()])

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
        try:
            self.flush(trial_id)
        except LeaseLostError:
            return False
        return True

    def _claim(self, trial_id: int) -> bool:
        """Start a waiting trial, unless another driver was faster."""
        study_id, _ = self._trial_id_to_study_id_and_number[trial_id]
        (*_, [(is_claimed, fits)]), _ = self._round_trips.send(
            *trial_statements.claim(self._budget(study_id), trial_id, self.driver)
        )
        if not (is_claimed or fits):
            raise BudgetSpentError
        if is_claimed:
            self.get_trial(trial_id).state = TrialState.RUNNING
            self.get_trial(trial_id).datetime_start = datetime.now()
            self._unwritten[trial_id] = _Unwritten()
            self._make_plain(trial_id)
        return bool(is_claimed)

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
        """Write what was gathered of a running trial, in one round trip: it is durable from here on.

        One that costs more than a plain one, of which there was known to be room, becomes one if its cost does not fit.

        Raises:
            LeaseLostError: another driver answers for the trial now; nothing is written.
        """
        payment, hold = self._payment(trial_id), trial_statements.hold(trial_id, self.driver)
        # The study is locked before the lease, as by those who take trials up.
        bundle = [
            *payment[:1],
            hold,
            *self._gathered(trial_id, besides=(COST, REQUEST) if payment else ()),
            *payment[1:],
        ]
        answers, _ = self._round_trips.send(*bundle)
        if not answers[bundle.index(hold)]:
            raise LeaseLostError
        if payment and answers[-1] == [(False,)]:
            self._make_plain(trial_id)
        self._unwritten[trial_id] = _Unwritten()

    def _payment(self, trial_id: int) -> list[Statement]:
        """What is to be asked of the budget for a trial that costs more than a plain one."""
        attributes = self._unwritten[trial_id].trial_system_attributes
        if COST not in attributes:
            return []
        study_id, _ = self._trial_id_to_study_id_and_number[trial_id]
        marks = {key: attributes[key] for key in (COST, REQUEST) if key in attributes}
        return trial_statements.pay(self._budget(study_id), trial_id, self.driver, marks)

    def _gathered(self, trial_id: int, besides: Sequence[str] = ()) -> list[Statement]:
        unwritten = self._unwritten[trial_id]
        system_attributes = {
            key: value for key, value in unwritten.trial_system_attributes.items() if key not in besides
        }
        return trial_statements.write(
            trial_id, self.driver, unwritten.params, unwritten.trial_user_attributes, system_attributes
        )

    def _make_plain(self, trial_id: int) -> None:
        """In memory."""
        for attributes in (self.get_trial(trial_id).system_attrs, self._unwritten[trial_id].trial_system_attributes):
            for key in (COST, REQUEST):
                attributes.pop(key, None)

    # ---- tell ----

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Optuna's `BaseStorage.set_trial_state_values`: claims a waiting trial, or finishes a running one.

        Raises:
            BudgetSpentError: when claiming; see the class.
            LeaseLostError: another driver answers for the trial now; nothing is written.
        """
        if state == TrialState.RUNNING:
            return self._claim(trial_id)
        if trial_id not in self._unwritten:
            raise LeaseLostError
        answer = self._round_trips.send(
            trial_statements.hold(trial_id, self.driver),
            *self._gathered(trial_id),
            *trial_statements.finish(trial_id, self.driver, state.name, values, self._unwritten[trial_id].scores),
        )
        if not (answer.rows[0] or (answer.is_repeated and self._is_stored(trial_id, state, values))):
            raise LeaseLostError
        del self._unwritten[trial_id]
        trial = self.get_trial(trial_id)
        trial.values = None if values is None else list(values)
        trial.state = state
        trial.datetime_complete = datetime.now()
        self.ledger(self._trial_id_to_study_id_and_number[trial_id][0]).note(trial)
        return True

    def _is_stored(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
        """Whether a result has come through, whose acknowledgement has not."""
        [[found]], _ = self._round_trips.send(trial_statements.stored(trial_id))
        return found == (state.name, list(values or ()))


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
