"""Ask and tell through the study, and what a name in the database stands for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import Engine

from search_spaces.errors import SelectionError, SpecificationError
from service.studies import AskedTrial, Driver, SearchStudy, load_study
from workers.evaluation import Evaluation, FailureReason

OpenStudy = Callable[..., SearchStudy]
MakeEvaluation = Callable[..., Evaluation]

BOTH_UP = [StudyDirection.MAXIMIZE] * 2
LANDMARKS = {
    name: {"expert/layer.0/weight": w, "expert/layer.1/weight": w} for name, w in {"base": 0.0, "expert": 1.0}.items()
}


def ask(study: SearchStudy) -> AskedTrial:
    trial = study.ask()
    assert trial is not None
    return trial


def test_landmarks_come_first_and_under_their_names(
    open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation
) -> None:
    study = open_study(driver, landmarks=LANDMARKS)
    asked = [ask(study) for _ in range(3)]
    assert [trial.params for trial in asked[:2]] == list(LANDMARKS.values())
    assert [trial.landmark for trial in asked] == ["base", "expert", ""]
    for trial in asked:
        assert study.tell(trial.number, evaluation())
    assert [trial.landmark for trial in study.finished_trials()] == ["base", "expert", ""]


def test_a_result_is_stored_whole(
    open_study: OpenStudy,
    driver: Driver,
    evaluation: MakeEvaluation,
    read_plainly: Callable[[], list[FrozenTrial]],
) -> None:
    study = open_study(driver)
    trial = ask(study)
    study.tell(trial.number, evaluation(0.25, 0.75))
    [stored] = read_plainly()
    assert (stored.values, stored.params) == ([0.25, 0.75], trial.params)
    expected = {"make_s": 0.01, "score_s": 0.02, "standard_errors": [0.1, 0.1], "n_examples": [8, 8]}
    assert stored.user_attrs == expected


def test_a_failure_is_stored_with_its_reason(open_study: OpenStudy, driver: Driver, study_name: str) -> None:
    study = open_study(driver)
    assert study.tell(ask(study).number, Evaluation(failure=FailureReason.OUT_OF_MEMORY, message="17 GiB short"))
    [failed] = study.finished_trials()
    assert (failed.failure, failed.values, failed.succeeded) == ("out_of_memory", (), False)
    [stored] = study._study.trials
    assert stored.user_attrs["failure_message"] == "17 GiB short"


def test_the_budget_counts_failures_and_running_trials(
    open_study: OpenStudy, driver: Driver, evaluation: MakeEvaluation
) -> None:
    study = open_study(driver, budget=3)
    first, second, third = (ask(study) for _ in range(3))
    assert study.ask() is None
    study.tell(first.number, Evaluation(failure=FailureReason.TIMEOUT))
    assert study.ask() is None
    study.tell(second.number, evaluation())
    assert not study.is_finished
    study.tell(third.number, evaluation())
    assert study.is_finished


def test_a_larger_budget_continues(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, evaluation: MakeEvaluation
) -> None:
    study = open_study(driver, budget=1)
    study.tell(ask(study).number, evaluation())
    continued = open_study(other_driver, budget=2)
    assert (continued.n_finished, continued.is_finished) == (1, False)
    assert ask(continued).number == 1


def test_two_that_open_at_once_make_one_study(
    open_study: OpenStudy,
    driver: Driver,
    other_driver: Driver,
    read_plainly: Callable[[], list[FrozenTrial]],
) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda one: open_study(one, landmarks=LANDMARKS), (driver, other_driver)))
    assert [trial.user_attrs["landmark"] for trial in read_plainly()] == list(LANDMARKS)


def test_another_search_of_the_same_name_is_refused(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, study_name: str
) -> None:
    open_study(driver, fixed={"space": {"method": "ties"}, "search.seed": 0})
    pattern = f"'{study_name}' exists with another `space`. .* choose another `name`"
    with pytest.raises(SpecificationError, match=pattern):
        open_study(other_driver, fixed={"space": {"method": "linear"}, "search.seed": 0})


def test_all_that_differs_is_named(open_study: OpenStudy, driver: Driver, other_driver: Driver) -> None:
    open_study(driver, fixed={"search.seed": 0, "workers.dtype": "float32"})
    with pytest.raises(SpecificationError, match=r"another `search.seed`, `space`, `workers.dtype`\. "):
        open_study(other_driver, fixed={"search.seed": 1, "space": {}})


@pytest.mark.parametrize("directions", [BOTH_UP, [StudyDirection.MINIMIZE]])
@pytest.mark.parametrize("n_trials", [0, 1])
def test_a_foreign_study_is_left_alone(
    directions: list[StudyDirection],
    n_trials: int,
    open_study: OpenStudy,
    driver: Driver,
    database_url: str,
    study_name: str,
) -> None:
    storage = optuna.storages.RDBStorage(database_url)
    study = optuna.create_study(storage=storage, study_name=study_name, directions=directions)
    study.set_user_attr("owner", "somebody else")
    for _ in range(n_trials):
        study.ask()
    with pytest.raises(SpecificationError, match=f"'{study_name}' exists but is not ours"):
        open_study(driver)
    assert (len(study.trials), study.user_attrs) == (n_trials, {"owner": "somebody else"})
    storage.engine.dispose()


def test_an_opening_that_was_interrupted_is_completed(
    open_study: OpenStudy, driver: Driver, other_driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "set_metric_names", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            open_study(driver, landmarks=LANDMARKS)
    study = open_study(other_driver, landmarks=LANDMARKS)
    assert [trial.user_attrs["landmark"] for trial in study._study.trials] == list(LANDMARKS)


def test_load_study_reads_what_was_told(
    open_study: OpenStudy, driver: Driver, engine: Engine, evaluation: MakeEvaluation, study_name: str
) -> None:
    study = open_study(driver, landmarks=LANDMARKS, fixed={"search.seed": 0})
    for _ in range(3):
        study.tell(ask(study).number, evaluation())
    study.ask()
    stored = load_study(engine, study_name)
    assert list(stored.trials) == study.finished_trials()
    assert stored.identity == study.identity


def test_an_unknown_study_is_answered_with_those_there_are(
    open_study: OpenStudy, driver: Driver, engine: Engine, study_name: str
) -> None:
    open_study(driver)
    with pytest.raises(SelectionError, match=r"none named 'nowhere'. There are: .*study-"):
        load_study(engine, "nowhere")


def test_a_foreign_study_is_not_read(engine: Engine, database_url: str, study_name: str) -> None:
    storage = optuna.storages.RDBStorage(database_url)
    optuna.create_study(storage=storage, study_name=study_name)
    storage.engine.dispose()
    with pytest.raises(SelectionError, match=f"'{study_name}' is an Optuna study, but not one of a merge search"):
        load_study(engine, study_name)
