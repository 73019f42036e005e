"""A driver that sleeps between the start of a trial and the writing of its parameters: the trial is another's then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from service.studies import Driver, SearchStudy
from service.studies.ask_and_tell import ask
from workers.evaluation import Evaluation


@pytest.fixture(autouse=True)
def _no_renewal_and_a_short_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.studies.driver._LOOK_EVERY_S", 600.0)
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.05)


@pytest.fixture
def robbed(
    open_study: Callable[..., SearchStudy],
    driver: Driver,
    other_driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: Callable[..., Evaluation],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[TrialState], SearchStudy]:
    """A study whose driver sleeps in its first ask, while another takes the trial up and comes as far as a state."""

    def open_it(state: TrialState) -> SearchStudy:
        study = open_study(driver)

        def ask_and_sleep(*arguments: Any) -> Any:
            monkeypatch.setattr("service.studies.search_study.ask", ask)
            lost = ask(*arguments)
            expire_leases(driver)
            successor = open_study(other_driver)
            assert state == TrialState.WAITING or successor.ask() is not None
            assert state != TrialState.COMPLETE or successor.tell(lost.number, evaluation(0.9, 0.9))
            return lost

        monkeypatch.setattr("service.studies.search_study.ask", ask_and_sleep)
        return study

    return open_it


@pytest.mark.parametrize("state", [TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE])
def test_the_next_one_is_asked(
    state: TrialState,
    robbed: Callable[[TrialState], SearchStudy],
    evaluation: Callable[..., Evaluation],
    read_plainly: Callable[[], list[FrozenTrial]],
) -> None:
    study, waits = robbed(state), state == TrialState.WAITING
    trial = study.ask()
    assert trial is not None
    assert trial.number == (0 if waits else 1)
    assert study.tell(trial.number, evaluation(0.1, 0.1))
    stored = read_plainly()
    assert [len(trial.params) for trial in stored] == [2] * len(stored)
    assert stored[0].state == (TrialState.COMPLETE if waits else state)
