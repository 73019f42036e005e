"""Studies of the bundled family in a real PostgreSQL, written without workers; and their views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from service.demo import demo_specification
from service.registry import SearchRegistry
from service.search import PreparedSearch, prepare_search
from service.specification import parse_specification
from service.studies import Driver, SearchStudy
from service.study_views import StudyViews
from workers.evaluation import Evaluation, FailureReason, Score

OBJECTIVES = ("alignment", "expertise")


@pytest.fixture
def driver(engine: Engine) -> Iterator[Driver]:
    with Driver(engine) as driver:
        yield driver


@pytest.fixture
def prepared(study_name: str) -> PreparedSearch:
    specification = parse_specification(demo_specification(study_name, 1000, 1), Path("/"))
    search = specification.search.model_copy(update={"sampler": "random"})
    return prepare_search(specification.model_copy(update={"search": search}))


@pytest.fixture
def open_study(engine: Engine, driver: Driver, prepared: PreparedSearch) -> Callable[[], SearchStudy]:
    return lambda: SearchStudy(engine, driver, prepared.identity, prepared.plan())


@pytest.fixture
def study(open_study: Callable[[], SearchStudy]) -> SearchStudy:
    return open_study()


@pytest.fixture
def searches(engine: Engine) -> SearchRegistry:
    return SearchRegistry(engine)


@pytest.fixture
def make_views(engine: Engine, searches: SearchRegistry) -> Iterator[Callable[..., StudyViews]]:
    """Views that read anew at every look, if they are not told otherwise."""
    opened: list[StudyViews] = []

    def make(over: Engine = engine, **options: Any) -> StudyViews:
        opened.append(StudyViews(over, searches, **{"max_age_s": -1.0, **options}))
        return opened[-1]

    yield make
    for views in opened:
        views.close()


@pytest.fixture
def views(make_views: Callable[..., StudyViews]) -> StudyViews:
    return make_views()


@pytest.fixture
def locked_trials(engine: Engine) -> Callable[[], Any]:
    """A context in which nobody can read the table of trials."""

    @contextmanager
    def locked() -> Iterator[None]:
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE"))
            yield

    return locked


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database: statements and their parameters."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def evaluation(*values: float, error: float = 0.01, share: float = 1.0) -> Evaluation:
    """A candidate's values; without any it has failed."""
    if not values:
        return Evaluation(failure=FailureReason.OUT_OF_MEMORY, message="too large", make_s=0.5)
    scores = {name: score(value, error) for name, value in zip(OBJECTIVES, values, strict=True)}
    return Evaluation(scores, make_s=0.25, score_s=0.125, share=share)


def score(value: float, error: float = 0.01) -> Score:
    return Score(value, error, 4, (value,) * 4)


@pytest.fixture
def tell(study: SearchStudy) -> Callable[..., int]:
    """Asks for a trial and tells its values; its number."""

    def tell_one(*values: float, error: float = 0.01, share: float = 1.0) -> int:
        asked = study.ask()
        assert asked is not None
        assert study.tell(asked.number, evaluation(*values, error=error, share=share))
        return asked.number

    return tell_one
