"""The states of a search: who may move it where, also when two want to at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from search_spaces.errors import MissingError, ParetomergeError, StateError
from service.registry import SearchRegistry, SearchRow, SearchState
from service.search import prepare_search
from service.search.session import open_session
from service.specification import Specification

Q, R, S = SearchState.QUEUED, SearchState.RUNNING, SearchState.STOPPING


@pytest.fixture
def name(searches: SearchRegistry, specification: Specification) -> str:
    """Of a queued search."""
    return searches.create(specification).name


def moved(searches: SearchRegistry, name: str, state: SearchState) -> None:
    """Bring a queued search into another state, by the ways that there are."""
    if state != Q:
        searches.start(name, "driver")
    if state in (S, SearchState.STOPPED):
        searches.stop(name)
    if not state.is_active:
        searches.end(name, state)


def test_a_new_search_waits(searches: SearchRegistry, specification: Specification) -> None:
    row = searches.create(specification)
    assert (row.state, row.message, row.n_allotted, row.n_starts, row.driver) == (Q, "", 0, 0, "")
    assert row.specification == specification.model_dump(mode="json")
    with pytest.raises(StateError, match=f"'{row.name}' exists. Resume it"):
        searches.create(specification)


@pytest.mark.parametrize("state", list(SearchState)[:-1])
def test_stop_and_resume_in_every_state(state: SearchState, searches: SearchRegistry, name: str) -> None:
    moved(searches, name, state)
    if state.can_stop:
        assert searches.stop(name).state == (SearchState.STOPPED if state == Q else S)
    else:
        with pytest.raises(StateError, match=f"'{name}' is {state}"):
            searches.stop(name)
    searches.end(name, SearchState.FAILED)
    row = searches.resume(name)
    assert (row.state, row.message, row.ended_at, row.driver, row.n_starts) == (Q, "", None, "", 0)
    with pytest.raises(StateError, match=f"must have ended to be resumed, but '{name}' is queued"):
        searches.resume(name)


def test_a_search_runs_and_ends(searches: SearchRegistry, name: str) -> None:
    assert searches.start(name, "first")
    assert not searches.start(name, "second")
    searches.allot(name, 3)
    row = searches.report(name, "first", n_alive=2, has_progressed=False)
    assert row is not None
    assert (row.state, row.n_allotted, row.n_alive, row.n_starts) == (R, 3, 2, 1)
    assert searches.end(name, SearchState.FINISHED, driver="first")
    assert not searches.end(name, SearchState.FAILED, "too late", driver="first")
    row = searches.get(name)
    assert (row.state, row.message, row.n_allotted, row.n_alive) == (SearchState.FINISHED, "", 0, 0)
    assert row.ended_at is not None
    searches.allot(name, 3)
    assert searches.get(name).n_allotted == 0


def test_a_driver_that_was_replaced_has_no_say(searches: SearchRegistry, name: str) -> None:
    searches.start(name, "first")
    assert searches.restart(name, "second")
    assert searches.report(name, "first", n_alive=1, has_progressed=True) is None
    assert not searches.end(name, SearchState.FAILED, "I am the driver", driver="first")
    row = searches.report(name, "second", n_alive=0, has_progressed=False)
    assert row is not None
    assert (row.state, row.n_starts) == (R, 2)


def test_progress_forgives_deaths(searches: SearchRegistry, name: str) -> None:
    searches.start(name, "1")
    for driver in "234":
        searches.restart(name, driver)
    assert searches.get(name).n_starts == 4
    searches.restart(name, "4", counts=False)
    assert searches.get(name).n_starts == 4
    searches.report(name, "4", n_alive=1, has_progressed=True)
    assert searches.get(name).n_starts == 0


def test_only_a_running_search_gets_another_driver(searches: SearchRegistry, name: str) -> None:
    assert not searches.restart(name, "early")
    searches.start(name, "first")
    searches.stop(name)
    assert not searches.restart(name, "late")


def test_what_a_search_waits_for_is_told_while_it_waits(searches: SearchRegistry, name: str) -> None:
    searches.explain(name, Q, "waits for a slot")
    assert searches.get(name).message == "waits for a slot"
    searches.start(name, "first")
    searches.explain(name, Q, "waits for a slot")
    assert searches.get(name).message == ""


def test_the_queue_is_in_the_order_of_asking(searches: SearchRegistry, specification: Specification) -> None:
    names = [f"{specification.name}-{i}" for i in "cab"]
    for name in names:
        searches.create(specification.model_copy(update={"name": name}))
    searches.stop(names[0])
    searches.resume(names[0])
    waiting = [row.name for row in searches.in_states([Q]) if row.name in names]
    assert waiting == [names[1], names[2], names[0]]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each returns or raises, called in threads of their own."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ParetomergeError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls))


@pytest.mark.parametrize("what", ["create", "stop", "resume", "start", "end"])
def test_of_callers_at_once_one_succeeds(
    what: str, searches: SearchRegistry, specification: Specification, study_name: str
) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "create": lambda: searches.create(specification),
        "stop": lambda: searches.stop(study_name),
        "resume": lambda: searches.resume(study_name),
        "start": lambda: searches.start(study_name, "driver"),
        "end": lambda: searches.end(study_name, SearchState.FINISHED),
    }
    if what != "create":
        searches.create(specification)
        moved(searches, study_name, {"resume": SearchState.FAILED, "start": Q}.get(what, R))
    outcomes = at_once([calls[what]] * 6)
    assert sum(isinstance(outcome, SearchRow) or outcome is True for outcome in outcomes) == 1
    assert all(isinstance(outcome, SearchRow | StateError | bool) for outcome in outcomes)


def test_stopped_or_started_but_not_both(searches: SearchRegistry, name: str) -> None:
    """A stop that meets the start of a driver is either before it or after it."""
    _, started = at_once([lambda: searches.stop(name), lambda: searches.start(name, "driver")])
    assert searches.get(name).state == (S if started else SearchState.STOPPED)


def test_the_search_of_a_command_is_shown_and_can_be_taken_over(
    fresh_database_url: str, searches: SearchRegistry, specification: Specification
) -> None:
    with open_session(prepare_search(specification), fresh_database_url):
        pass
    name = specification.name
    row = searches.get(name)
    assert row.state == SearchState.EXTERNAL
    assert row.specification["name"] == name
    assert name in [row.name for row in searches.all()]
    with pytest.raises(StateError, match="a command drives"):
        searches.stop(name)
    with pytest.raises(StateError, match=f"'{name}' exists"):
        searches.create(specification)
    outcomes = at_once([lambda: searches.resume(name)] * 4)
    assert sum(isinstance(outcome, SearchRow) for outcome in outcomes) == 1
    assert searches.get(name).state == Q


def test_nothing_of_a_name(engine: Engine, searches: SearchRegistry) -> None:
    for call in (searches.get, searches.stop, searches.resume):
        with pytest.raises(MissingError, match="there is none named 'nowhere'"):
            call("nowhere")
