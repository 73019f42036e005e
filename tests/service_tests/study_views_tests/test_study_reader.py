"""A view is what the study says, whatever has happened to it since the last look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from search_spaces.errors import MissingError
from service.database.connection import connect
from service.pareto import certainly_dominated
from service.registry import SearchRegistry
from service.results import Standing, front_json, values_and_errors
from service.search import PreparedSearch
from service.search.measures import HOLDOUT
from service.search.selection import front_of
from service.studies import AskedTrial, FinishedTrial, SearchStudy, load_study
from service.study_views import StudyView, StudyViews
from service.study_views.stored_rows import read_params
from workers.evaluation import Evaluation, FailureReason, Score

Step = Callable[["Life"], None]


class Life:
    """What may happen to a study, in any order."""

    def __init__(self, study: SearchStudy, rng: Random) -> None:
        self.study = study
        self.rng = rng
        self.running: list[AskedTrial] = []
        self.succeeded: list[int] = []

    def ask(self) -> None:
        if len(self.running) < 5 and (asked := self.study.ask()):
            self.running.append(asked)

    def tell(self) -> None:
        self._tell(share=1.0)

    def lose_a_race(self) -> None:
        self._tell(share=0.25)

    def _tell(self, share: float) -> None:
        if self.running:
            asked = self.running.pop(self.rng.randrange(len(self.running)))
            scores = {name: self._score() for name in ("alignment", "expertise")}
            failure = self.rng.choice(["", "", "not finite"])
            evaluation = Evaluation(scores, make_s=1.0, score_s=2.0, share=share, gradient_failure=failure)
            assert self.study.tell(asked.number, evaluation)
            self.succeeded.append(asked.number)

    def fail(self) -> None:
        if self.running:
            asked = self.running.pop(self.rng.randrange(len(self.running)))
            assert self.study.tell(asked.number, Evaluation(failure=FailureReason.TIMEOUT, message="too slow"))

    def hold_out(self) -> None:
        if self.succeeded:
            measures = self.rng.sample(["alignment", "expertise", "refusal"], self.rng.randint(1, 3))
            scores = {f"{measure}{HOLDOUT}": self._score() for measure in measures}
            self.study.add_scores(self.rng.choice(self.succeeded), scores)

    def _score(self) -> Score:
        value = round(self.rng.random(), 2)  # so that some are equal
        return Score(value, self.rng.choice([None, 0.05, 0.2]), 3, (value,) * 3)

    def step(self) -> None:
        ways: list[Callable[[], None]] = [self.ask, self.ask, self.ask, self.tell, self.tell, self.lose_a_race]
        self.rng.choice([*ways, self.fail, self.hold_out])()


def check_same(view: StudyView, engine: Engine, name: str) -> None:
    """The reference: the study as Optuna loads it."""
    stored = load_study(engine, name)
    objectives = stored.identity.objectives
    assert view.objectives == objectives
    assert view.trials == tuple(replace(trial, params={}) for trial in stored.trials)
    held_out = {
        number: {m: s for m, s in scores.items() if m.endswith(HOLDOUT)} for number, scores in stored.scores.items()
    }
    assert view.held_out == {number: scores for number, scores in held_out.items() if scores}
    assert view.clearly_dominated == clearly_dominated(stored.trials)
    assert view.standing.within_error == Standing(stored.trials, len(objectives)).within_error
    assert [trial.number for trial in view.standing.front] == [trial.number for trial in front_of(stored.trials)]
    expected = front_json(stored.trials, objectives, None, stored.scores)
    assert view.standing.hypervolume == pytest.approx(expected["hypervolume"])
    with engine.connect() as connection:
        params = read_params(connection, view.arrivals.values())
    assert {trial.number: params[view.arrivals[trial.number]] for trial in view.trials} == {
        trial.number: trial.params for trial in stored.trials
    }


def clearly_dominated(trials: tuple[FinishedTrial, ...]) -> set[int]:
    """All at once, in place of one after the other."""
    succeeded = [trial for trial in trials if trial.succeeded]
    marked = certainly_dominated(*values_and_errors(succeeded, 2))
    return {trial.number for trial, clear in zip(succeeded, marked, strict=True) if clear}


@pytest.mark.parametrize("seed", range(6))
def test_view_says_what_the_study_says(
    seed: int, engine: Engine, study: SearchStudy, views: StudyViews, study_name: str
) -> None:
    rng = Random(seed)
    life = Life(study, rng)
    arrived: list[int] = []
    for _ in range(12):
        for _ in range(rng.randint(0, 8)):
            life.step()
        view = views.get(study_name)
        check_same(view, engine, study_name)
        # Who knew the first so many needs only those after them.
        assert list(view.arrivals)[: len(arrived)] == arrived
        assert [trial.number for trial in view.arrived_after(len(arrived))] == list(view.arrivals)[len(arrived) :]
        arrived = list(view.arrivals)
    assert views.get(study_name) is view


def test_held_out_scores_may_be_replaced(
    study: SearchStudy, tell: Callable[..., int], views: StudyViews, study_name: str
) -> None:
    number = tell(0.5, 0.5)
    for value in (0.25, 0.75):
        study.add_scores(number, {f"alignment{HOLDOUT}": Score(value, 0.1, 2, (value, value))})
        assert views.get(study_name).held_out[number][f"alignment{HOLDOUT}"].value == value


def test_trials_known_already_are_not_read_again(
    tell: Callable[..., int], views: StudyViews, study_name: str, statements: list[tuple[str, dict[str, object]]]
) -> None:
    for _ in range(3):
        tell(0.5, 0.5)
    views.get(study_name)
    number = tell(0.5, 0.5)
    statements.clear()
    view = views.get(study_name)
    read = [parameters["trials"] for statement, parameters in statements if "FROM trials t WHERE" in statement]
    assert read == [[view.arrivals[number]]]
    statements.clear()
    assert views.get(study_name) is view
    assert len(statements) == 1


def test_queued_search_is_empty_until_its_study_is_there(
    prepared: PreparedSearch,
    searches: SearchRegistry,
    open_study: Callable[[], SearchStudy],
    views: StudyViews,
    study_name: str,
) -> None:
    searches.create(prepared.specification)
    empty = views.get(study_name)
    assert (empty.trials, empty.study_id, empty.objectives) == ((), None, ("alignment", "expertise"))
    assert views.get(study_name) is empty
    open_study()
    begun = views.get(study_name)
    assert begun.study_id is not None
    assert begun.line != empty.line


def test_study_made_again_begins_a_new_line(
    engine: Engine, open_study: Callable[[], SearchStudy], tell: Callable[..., int], views: StudyViews, study_name: str
) -> None:
    tell(0.9, 0.9)
    before = views.get(study_name)
    storage = RDBStorage(engine.url.render_as_string(hide_password=False))
    optuna.delete_study(study_name=study_name, storage=storage)
    storage.engine.dispose()
    with pytest.raises(MissingError, match="none named"):
        views.get(study_name)
    open_study()
    after = views.get(study_name)
    assert after.trials == ()
    assert after.line != before.line
    assert after.clearly_dominated == frozenset()


def test_unknown_search_is_missing_and_leaves_nothing(views: StudyViews) -> None:
    with pytest.raises(MissingError, match="none named 'nobody'"):
        views.get("nobody")
    assert views.names == []


def test_study_of_somebody_else_is_no_search(engine: Engine, views: StudyViews, study_name: str) -> None:
    storage = RDBStorage(engine.url.render_as_string(hide_password=False))
    optuna.create_study(storage=storage, study_name=study_name)
    storage.engine.dispose()
    with pytest.raises(MissingError, match="none named"):
        views.get(study_name)


def test_view_goes_on_after_a_failure_of_the_database(
    database_url: str,
    make_views: Callable[..., StudyViews],
    tell: Callable[..., int],
    locked_trials: Callable[..., object],
    study_name: str,
) -> None:
    impatient = connect(f"{database_url}?options=-clock_timeout%3D50")
    views = make_views(impatient)
    tell(0.2, 0.8)
    before = views.get(study_name)
    tell(0.8, 0.2)
    with locked_trials(), pytest.raises(OperationalError, match="lock timeout"):  # type: ignore[attr-defined]
        views.get(study_name)
    after = views.get(study_name)
    assert (after.line, len(after.trials)) == (before.line, 2)
    impatient.dispose()
