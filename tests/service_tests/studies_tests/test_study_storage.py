"""The storage against Optuna's own: the same trials in the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine

from service.database.connection import connect
from service.samplers import SAMPLERS, SearchShape, TrialSeededSampler
from service.studies import Driver, ask_and_tell
from service.studies.study_storage import BudgetSpentError, LeaseLostError, StudyStorage

DISTRIBUTIONS: dict[str, BaseDistribution] = {"a": FloatDistribution(0.0, 1.5), "b": FloatDistribution(-1.0, 1.0)}


@pytest.fixture
def make_storage(engine: Engine, database_url: str) -> Iterator[Callable[..., StudyStorage]]:
    backends = []

    def make(driver: Driver, budget: int | None = None) -> StudyStorage:
        backends.append(RDBStorage(database_url))
        return StudyStorage(backends[-1], driver, budget)

    yield make
    for backend in backends:
        backend.engine.dispose()


def create_study(storage: Any, name: str, sampler: str = "random", n_dims: int = 2) -> optuna.Study:
    seeded = TrialSeededSampler(SAMPLERS[sampler], 3, SearchShape(n_dims, 2, 40), DISTRIBUTIONS)
    directions = [StudyDirection.MAXIMIZE] * 2
    return optuna.create_study(
        storage=storage, study_name=name, directions=directions, sampler=seeded, load_if_exists=True
    )


def ask(study: optuna.Study, distributions: dict[str, BaseDistribution] | None = None) -> FrozenTrial | optuna.Trial:
    given = dict(DISTRIBUTIONS if distributions is None else distributions)
    if not isinstance(study._storage, StudyStorage):
        return study.ask(given)
    trial = ask_and_tell.ask(study, study._storage, given)
    study._storage.flush(trial._trial_id)
    return trial


def tell(study: optuna.Study, trial: FrozenTrial | optuna.Trial, values: list[float] | None) -> None:
    if isinstance(study._storage, StudyStorage):
        ask_and_tell.tell(study, study._storage, trial._trial_id, values)
    else:
        study.tell(trial.number, values, state=TrialState.FAIL if values is None else None)


def drive(study: optuna.Study) -> None:
    """Landmarks, successes, failures, attributes of many kinds, and trials that are not finished."""
    study.enqueue_trial({"a": 0.25, "b": 0.0}, user_attrs={"landmark": "base"})
    for i in range(12):
        trial = ask(study)
        study._storage.set_trial_user_attr(trial._trial_id, "standard_errors", [0.1, None])
        study._storage.set_trial_user_attr(trial._trial_id, "text", f"ünï {i}")
        tell(study, trial, None if i % 5 == 4 else [trial.params["a"], -trial.params["b"]])
    study.enqueue_trial({"b": 0.125})
    ask(study)
    study.enqueue_trial({"a": 1.5, "b": -1.0})


def described(trial: FrozenTrial) -> dict[str, Any]:
    names = ("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs")
    dates = {"started": trial.datetime_start is not None, "completed": trial.datetime_complete is not None}
    return {name: getattr(trial, name) for name in names} | dates


@pytest.mark.parametrize("sampler", ["random", "cmaes", "nsga2"])
def test_leaves_the_trials_that_optuna_would(
    sampler: str,
    make_storage: Callable[..., StudyStorage],
    driver: Driver,
    database_url: str,
    study_name: str,
    read_plainly: Callable[..., list[FrozenTrial]],
) -> None:
    plain = RDBStorage(database_url)
    drive(create_study(plain, f"{study_name}-plain", sampler))
    plain.engine.dispose()
    drive(create_study(make_storage(driver), study_name, sampler))
    trials = read_plainly()
    assert {trial.state for trial in trials} >= {TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING}
    for ours, theirs in zip(trials, read_plainly(f"{study_name}-plain"), strict=True):
        assert described(ours) == described(theirs)


def test_shows_what_it_has_written(
    make_storage: Callable[..., StudyStorage],
    driver: Driver,
    study_name: str,
    read_plainly: Callable[..., list[FrozenTrial]],
) -> None:
    study = create_study(make_storage(driver), study_name)
    drive(study)
    for ours, theirs in zip(study.trials, read_plainly(), strict=True):
        assert described(ours) == described(theirs)
        assert (ours._trial_id, ours.duration is None) == (theirs._trial_id, theirs.duration is None)


def test_dates_are_optunas(
    make_storage: Callable[..., StudyStorage],
    driver: Driver,
    study_name: str,
    read_plainly: Callable[..., list[FrozenTrial]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "NPT-5:45")
    time.tzset()
    try:
        study = create_study(make_storage(driver), study_name)
        tell(study, ask(study), [0.0, 0.0])
        [ours], [theirs] = study.trials, read_plainly()
    finally:
        monkeypatch.undo()
        time.tzset()
    for name in ("datetime_start", "datetime_complete"):
        assert abs((getattr(ours, name) - getattr(theirs, name)).total_seconds()) < 60


def test_a_waiting_trial_is_claimed_once(
    make_storage: Callable[..., StudyStorage], driver: Driver, other_driver: Driver, study_name: str
) -> None:
    one, other = make_storage(driver), make_storage(other_driver)
    create_study(one, study_name).enqueue_trial({"a": 1.0})
    [trial] = create_study(other, study_name).get_trials(states=(TrialState.WAITING,))
    claims = [storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING) for storage in (one, other)]
    assert claims == [True, False]


def test_a_waiting_trial_is_claimed_within_the_budget_only(
    make_storage: Callable[..., StudyStorage], driver: Driver, study_name: str
) -> None:
    study = create_study(make_storage(driver, budget=1), study_name)
    for a in (0.1, 0.2):
        study.enqueue_trial({"a": a})
    ask(study)
    with pytest.raises(BudgetSpentError, match=r"^$"):
        ask(study)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.WAITING]


def test_nobody_but_the_driver_tells(
    make_storage: Callable[..., StudyStorage], driver: Driver, other_driver: Driver, study_name: str
) -> None:
    study = create_study(make_storage(driver), study_name)
    trial = ask(study)
    other = create_study(make_storage(other_driver), study_name)
    with pytest.raises(LeaseLostError, match=r"^$"):
        tell(other, trial, [0.0, 0.0])
    tell(study, trial, [1.0, 1.0])
    assert study.trials[0].values == [1.0, 1.0]


def test_an_incompatible_distribution_is_refused(
    make_storage: Callable[..., StudyStorage], driver: Driver, study_name: str
) -> None:
    study = create_study(make_storage(driver), study_name)
    ask(study)
    with pytest.raises(ValueError, match="Cannot set different distribution kind"):
        ask(study, {"a": optuna.distributions.CategoricalDistribution(["x", "y"])})


def test_drivers_that_race_keep_to_the_budget(
    open_study: Callable[..., Any],
    database_url: str,
    evaluation: Callable[[], Any],
    study_name: str,
    read_plainly: Callable[..., list[FrozenTrial]],
) -> None:
    landmarks = {f"landmark {i}": {"expert/layer.0/weight": i / 10, "expert/layer.1/weight": 0.0} for i in range(8)}
    engines = [connect(database_url) for _ in range(3)]
    drivers = [Driver(engine) for engine in engines]
    studies = [open_study(driver, budget=40, landmarks=landmarks) for driver in drivers]
    start = threading.Barrier(len(studies))
    n_told = []

    def run(study: Any) -> None:
        start.wait()
        told = 0
        while trial := study.ask():
            told += study.tell(trial.number, evaluation())
        n_told.append(told)

    threads = [threading.Thread(target=run, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, engine in zip(drivers, engines, strict=True):
        one.close()
        engine.dispose()
    trials = read_plainly()
    assert sum(n_told) == 40
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 40
    assert [trial.number for trial in trials] == list(range(40))
    assert [trial.user_attrs.get("landmark") for trial in trials[:9]] == [*landmarks, None]


def test_reads_trials_as_optuna_does(
    make_storage: Callable[..., StudyStorage],
    driver: Driver,
    other_driver: Driver,
    database_url: str,
    study_name: str,
    read_plainly: Callable[..., list[FrozenTrial]],
) -> None:
    drive(create_study(make_storage(driver), study_name))
    plain = RDBStorage(database_url)
    kinds = {
        "whole": optuna.distributions.IntDistribution(1, 9, step=2),
        "one of": optuna.distributions.CategoricalDistribution(["x", 'a "quoted" one', 3]),
    }
    study = create_study(plain, study_name)
    study.tell(study.ask(kinds), [float("inf"), float("-inf")])
    plain.engine.dispose()
    ours = create_study(make_storage(other_driver), study_name).get_trials(deepcopy=False)
    for read, theirs in zip(ours, read_plainly(), strict=True):
        assert (read, described(read)) == (theirs, described(theirs))


def test_of_what_others_do_only_changes_are_read(
    open_study: Callable[..., Any], driver: Driver, other_driver: Driver, evaluation: Callable[[], Any]
) -> None:
    study, other = open_study(driver, budget=40), open_study(other_driver, budget=40)
    for _ in range(8):
        other.tell(other.ask().number, evaluation())
    asked = [other.ask().number for _ in range(4)]
    study.requeue_orphans()
    assert study.n_finished == 8
    other.tell(asked[1], evaluation())
    new = other.ask()
    with read_by_id() as read:
        study.requeue_orphans()
    # One that has changed, and one that is new.
    assert [len(trial_ids) for trial_ids in read] == [2]
    assert [trial.number for trial in study.arrived_after(8)] == [asked[1]]
    assert study._study.trials[new.number].params == new.params


@contextmanager
def read_by_id() -> Iterator[list[list[int]]]:
    """The ids of the trials that are read again, by statement."""
    found: list[list[int]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "LATERAL" in statement:
            found.append(parameters["trials"])

    sqlalchemy.event.listen(Engine, "before_cursor_execute", note)
    yield found
    sqlalchemy.event.remove(Engine, "before_cursor_execute", note)


def test_one_that_is_taken_up_by_another_is_no_longer_ours(
    open_study: Callable[..., Any],
    driver: Driver,
    other_driver: Driver,
    expire_leases: Callable[[Driver], None],
    evaluation: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.studies.orphans._SECOND_LOOK_S", 0.0)
    study, other = open_study(driver), open_study(other_driver)
    lost, kept = study.ask(), study.ask()
    expire_leases(driver)
    other.requeue_orphans()
    taken = other.ask()
    assert taken.number == lost.number
    mine = study.ask()  # and learns of it; the second waits again, and is handed out
    assert mine.number == kept.number
    assert not study.tell(lost.number, evaluation(0.1))
    assert study.tell(mine.number, evaluation(0.2))
    assert other.tell(taken.number, evaluation(0.3))
    study.requeue_orphans()
    assert [trial.values[0] for trial in study.finished_trials()] == [0.3, 0.2]
