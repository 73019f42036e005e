"""How often the database is asked, and what happens when its answer is lost: a proxy stands between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from optuna.trial import FrozenTrial
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DataError, OperationalError

from benchmarks.slow_database import SlowDatabase
from service.studies import AskedTrial, Driver, SearchStudy
from service.studies.trial_cost import cost_of
from workers.evaluation import Evaluation

OpenStudy = Callable[..., SearchStudy]
MakeEvaluation = Callable[..., Evaluation]
ReadPlainly = Callable[[], list[FrozenTrial]]


@pytest.fixture(scope="module")
def slow_database(database_url: str) -> Iterator[SlowDatabase]:
    with SlowDatabase(database_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def distant_engine(slow_database: SlowDatabase, engine: Engine) -> Iterator[Engine]:
    """By way of the proxy, to the database that `engine` has prepared."""
    distant = create_engine(slow_database.url, pool_pre_ping=True)
    yield distant
    distant.dispose()


@pytest.fixture
def distant(distant_engine: Engine) -> Iterator[Driver]:
    with Driver(distant_engine) as driver:
        yield driver


def ask(study: SearchStudy) -> AskedTrial:
    trial = study.ask()
    assert trial is not None
    return trial


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "gradient", "nsga2"])
def test_an_ask_is_three_round_trips_and_a_tell_is_one(
    sampler: str,
    open_study: OpenStudy,
    distant: Driver,
    slow_database: SlowDatabase,
    evaluation: MakeEvaluation,
) -> None:
    """What others have done, the trial, and its parameters."""
    study = open_study(distant, n_dims=80, sampler=sampler, budget=60)
    for _ in range(12):
        study.tell(ask(study).number, evaluation())
    before = slow_database.n_round_trips
    trial = ask(study)
    asked = slow_database.n_round_trips
    assert study.tell(trial.number, evaluation())
    assert (asked - before, slow_database.n_round_trips - asked) == (3, 1)


def test_scores_on_held_out_examples_are_one_round_trip(
    open_study: OpenStudy, distant: Driver, slow_database: SlowDatabase, evaluation: MakeEvaluation
) -> None:
    study = open_study(distant)
    trial = ask(study)
    study.tell(trial.number, evaluation())
    before = slow_database.n_round_trips
    study.add_scores(trial.number, {f"{name} (holdout)": score for name, score in evaluation().scores.items()})
    assert slow_database.n_round_trips - before == 1
    assert len(study.trial_scores(trial.number)) == 4


@pytest.mark.parametrize("n_before", range(5))
def test_what_was_done_though_the_answer_was_lost_is_not_done_again(
    n_before: int,
    open_study: OpenStudy,
    distant: Driver,
    slow_database: SlowDatabase,
    evaluation: MakeEvaluation,
    read_plainly: ReadPlainly,
) -> None:
    """In turn of the look, the trial, its parameters, its result, and the look for the next one."""
    study = open_study(distant, sampler="gradient", budget=9)
    study.tell(ask(study).number, evaluation())
    n_connections = slow_database.n_connections
    slow_database.lose_answer(n_before)
    told = []
    while trial := study.ask():
        assert study.tell(trial.number, evaluation(float(trial.number)))
        told.append(trial)
    assert slow_database.n_connections > n_connections  # an answer was lost indeed
    stored = read_plainly()
    assert [(trial.number, trial.params) for trial in told] == [(trial.number, trial.params) for trial in stored[1:]]
    assert [trial.values for trial in stored[1:]] == [[float(trial.number), 0.5] for trial in told]
    assert [cost_of(trial.system_attrs) for trial in stored] == [3.0] * 3


@pytest.mark.parametrize("n_before", range(4))
def test_a_claim_whose_answer_was_lost_is_this_drivers(
    n_before: int,
    open_study: OpenStudy,
    distant: Driver,
    slow_database: SlowDatabase,
    evaluation: MakeEvaluation,
    read_plainly: ReadPlainly,
) -> None:
    landmarks = {name: {f"expert/layer.{i}/weight": w for i in range(2)} for name, w in {"a": 0.2, "b": 1.0}.items()}
    study = open_study(distant, budget=2, landmarks=landmarks)
    slow_database.lose_answer(n_before)
    while trial := study.ask():
        assert study.tell(trial.number, evaluation())
    stored = read_plainly()
    assert [(trial.user_attrs["landmark"], trial.params) for trial in stored] == list(landmarks.items())
    assert all(trial.state.is_finished() for trial in stored)


def test_a_connection_that_is_cut_is_made_again(
    open_study: OpenStudy, distant: Driver, slow_database: SlowDatabase, evaluation: MakeEvaluation
) -> None:
    study = open_study(distant)
    for _ in range(3):
        assert slow_database.cut() > 0
        assert study.tell(ask(study).number, evaluation())
    assert study.n_finished == 3


def test_what_fails_undoes_what_was_sent_with_it(driver: Driver, engine: Engine) -> None:
    name = f"t{driver.name.replace('-', '')}"
    driver.round_trips.send((f"CREATE TABLE {name} (x int)", {}))
    with pytest.raises(DataError, match="division by zero"):
        driver.round_trips.send((f"INSERT INTO {name} VALUES (1)", {}), ("SELECT 1 / %(zero)s", {"zero": 0}))
    assert driver.round_trips.send((f"SELECT count(*) FROM {name}", {})).rows == [[(0,)]]
    driver.round_trips.send((f"DROP TABLE {name}", {}))


def test_a_server_that_is_gone_is_not_waited_for_long(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.database.round_trips._RETRY_FOR_S", 0.3)
    with SlowDatabase(database_url) as proxy, Driver(create_engine(proxy.url)) as driver:
        driver.round_trips.send(("SELECT 1", {}))
        proxy.close()
        with pytest.raises(OperationalError, match="connection"):
            driver.round_trips.send(("SELECT 1", {}))
