"""One search in memory: ask, evaluate, tell, until the cost is spent; the study is Optuna's, without a database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from benchmarks.search.trial_records import TrialRecord
from service.samplers import SAMPLERS, TrialSeededSampler
from service.search import PreparedSearch
from service.studies.finished_trials import attributes_of
from service.studies.trial_cost import COST, REQUEST, cost_of, fits, is_spent
from service.studies.trial_gradients import GRADIENTS, request_of, stored_gradients
from workers.evaluation import Assignment, Evaluation

Evaluate = Callable[[Assignment], Evaluation]


class SamplerRun:
    """A search by one sampler.

    Args:
        search: its space, landmarks and objectives.
        sampler: a name in `SAMPLERS`.
        seed: of the sampler.
        budget: in evaluation-equivalents.
        evaluate: makes and scores a candidate.
        done: the trials of the same run so far.
    """

    def __init__(
        self,
        search: PreparedSearch,
        sampler: str,
        seed: int,
        budget: float,
        evaluate: Evaluate,
        done: Sequence[TrialRecord] = (),
    ) -> None:
        self._search = search
        self._budget = budget
        self._evaluate = evaluate
        self._spent = done[-1].spent if done else 0.0
        self._distributions = search.space.distributions()
        shape = replace(search.shape, evaluations=int(budget))
        self._study = optuna.create_study(
            storage=InMemoryStorage(),
            directions=["maximize"] * len(search.objectives),
            sampler=TrialSeededSampler(SAMPLERS[sampler], seed, shape, self._distributions),
        )
        self._take_up(done)

    def _take_up(self, done: Sequence[TrialRecord]) -> None:
        for record in done:
            self._study.add_trial(record.as_trial(self._distributions))
        known = {record.landmark for record in done}
        for landmark, params in self._search.encoded_landmarks.items():
            if landmark not in known:
                self._study.enqueue_trial(dict(params), user_attrs={"landmark": landmark})

    def records(self) -> Iterator[TrialRecord]:
        """The trials that are left, one after the other."""
        while not is_spent(self._spent, self._budget):
            yield self._next()

    def _next(self) -> TrialRecord:
        started = time.perf_counter()
        trial = self._ask()
        asked = time.perf_counter()
        evaluation = self._evaluate(self._assignment(trial))
        evaluated = time.perf_counter()
        self._tell(trial, evaluation)
        told = time.perf_counter()
        sampler_s = asked - started + told - evaluated
        return self._recorded(self._frozen(trial), sampler_s, evaluation_s=evaluated - asked)

    def _ask(self) -> Trial:
        trial = self._study.ask(self._distributions)
        cost = cost_of(self._frozen(trial).system_attrs)
        if not fits(self._spent, cost, self._budget):
            # As a search does: at the end of the budget a trial is a plain one.
            self._mark(trial, COST, 1.0)
            self._mark(trial, REQUEST, None)
        return trial

    def _assignment(self, trial: Trial) -> Assignment:
        objectives = self._search.objectives
        request = request_of(self._frozen(trial).system_attrs, self._search.differentiable, trial.number)
        return Assignment(self._search.recipe(trial.params), objectives, gradient=request)

    def _tell(self, trial: Trial, evaluation: Evaluation) -> None:
        objectives = self._search.objectives
        for name, value in attributes_of(evaluation, objectives).items():
            trial.set_user_attr(name, value)
        if not evaluation.succeeded:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        if evaluation.gradients:
            self._mark(trial, GRADIENTS, stored_gradients(evaluation, trial.params.keys()))
        self._study.tell(trial, [evaluation.scores[name].value for name in objectives])

    def _recorded(self, trial: FrozenTrial, sampler_s: float, evaluation_s: float) -> TrialRecord:
        cost = cost_of(trial.system_attrs)
        self._spent += cost
        return TrialRecord(
            params=trial.params,
            values=tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
            cost=cost,
            spent=self._spent,
            sampler_s=round(sampler_s, 6),
            evaluation_s=round(evaluation_s, 6),
            user_attributes=trial.user_attrs,
            system_attributes=trial.system_attrs,
        )

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._study._storage.get_trial(trial._trial_id)

    def _mark(self, trial: Trial, key: str, value: Any) -> None:
        self._study._storage.set_trial_system_attr(trial._trial_id, key, value)
