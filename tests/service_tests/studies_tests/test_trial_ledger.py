"""What a driver knows of a study: each trial counted once, in whatever order it comes and finishes."""

from __future__ import annotations

from dataclasses import astuple
from random import Random

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from service.studies.finished_trials import read_finished
from service.studies.trial_cost import COST
from service.studies.trial_ledger import TrialLedger


def trial(number: int, state: TrialState = TrialState.RUNNING, cost: float = 1.0) -> FrozenTrial:
    values = [float(number), -float(number)] if state == TrialState.COMPLETE else None
    made = create_trial(state=state, values=values, system_attrs={} if cost == 1.0 else {COST: cost})
    made.number, made._trial_id = number, 100 + number
    return made


def finish(running: FrozenTrial) -> FrozenTrial:
    running.state, running.values = TrialState.COMPLETE, [0.0, 0.0]
    return running


@pytest.mark.parametrize("seed", range(5))
def test_order_of_arrival_does_not_matter(seed: int) -> None:
    numbers, ledger, random = list(range(12)), TrialLedger(), Random(seed)
    running = {number: trial(number, cost=1.0 + number % 2) for number in numbers}
    for number in random.sample(numbers, len(numbers)):
        ledger.note(running[number])
    done = random.sample(numbers, 7)
    for number in done:
        ledger.note(finish(running[number]))
    assert [each.number for each in ledger.trials()] == numbers
    assert [each.number for each in ledger.finished()] == sorted(done)
    assert [each.number for each in ledger.arrived_after(3)] == done[3:]
    assert [each.number for each in ledger.unfinished()] == sorted(set(numbers) - set(done))
    assert ledger.spent == sum(1.0 + number % 2 for number in done)
    assert ledger.finished() == read_finished(ledger.trials())


def test_a_finished_trial_counts_once() -> None:
    ledger = TrialLedger()
    for _ in range(2):
        ledger.note(trial(0, TrialState.COMPLETE))
        ledger.note(trial(1, TrialState.FAIL))
        ledger.note(trial(2, TrialState.PRUNED))
    assert (ledger.n_finished, ledger.spent, len(ledger.arrived_after(0)), len(ledger)) == (2, 2.0, 2, 3)
    assert ledger.unfinished() == []


def test_one_that_waits_again_is_not_finished() -> None:
    ledger = TrialLedger()
    for state in (TrialState.WAITING, TrialState.RUNNING, TrialState.WAITING):
        ledger.note(trial(0, state))
    assert [each.state for each in ledger.unfinished()] == [TrialState.WAITING]
    ledger.note(trial(0, TrialState.COMPLETE))
    assert (ledger.unfinished(), ledger.n_finished) == ([], 1)


def test_settled_is_what_lies_before_all_that_may_be_unknown() -> None:
    ledger = TrialLedger()
    ledger.note(trial(0, TrialState.COMPLETE, cost=3.0))
    ledger.settle()
    ledger.note(trial(2, TrialState.COMPLETE))  # before it, another driver's is not known yet
    assert astuple(ledger.settled) == (100, 1, 3.0)
    ledger.note(trial(1))
    ledger.settle()
    assert astuple(ledger.settled) == (102, 3, 4.0)
