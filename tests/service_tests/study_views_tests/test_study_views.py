"""Views for many: one reads for all who ask meanwhile, nothing is older than it may be, nothing is kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from search_spaces.errors import SelectionError
from service.study_views import StudyView, StudyViews, study_views

Statements = list[tuple[str, Any]]
_HEAD = "array_agg(trial_id)"


def n_looks(statements: Statements) -> int:
    return sum(_HEAD in statement for statement, _ in statements)


async def _all_waiting(views: StudyViews, name: str, n: int) -> list[asyncio.Task[StudyView]]:
    tasks = [asyncio.create_task(views.view(name)) for _ in range(n)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.usefixtures("study")
def test_one_reads_for_all_who_ask_meanwhile(
    views: StudyViews, study_name: str, locked_trials: Callable[[], Any], statements: Statements
) -> None:
    async def ask() -> list[StudyView]:
        with locked_trials():
            tasks = await _all_waiting(views, study_name, 40)
        return await asyncio.gather(*tasks)

    found = asyncio.run(ask())
    assert n_looks(statements) == 1
    assert len({id(view) for view in found}) == 1


@pytest.mark.usefixtures("study")
def test_who_goes_away_takes_nothing_from_the_others(
    views: StudyViews, study_name: str, locked_trials: Callable[[], Any]
) -> None:
    async def ask() -> StudyView:
        with locked_trials():
            first, second = await _all_waiting(views, study_name, 2)
            first.cancel()
            await asyncio.sleep(0)
        return await second

    assert asyncio.run(ask()).name == study_name


@pytest.mark.usefixtures("study")
def test_threads_and_loops_share_views(make_views: Callable[..., StudyViews], study_name: str) -> None:
    views = make_views(max_age_s=60.0)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(views.get, [study_name] * 50))
    found += [asyncio.run(views.view(study_name)) for _ in range(2)]
    assert len({id(view) for view in found}) == 1


def test_nothing_is_older_than_it_may_be(
    make_views: Callable[..., StudyViews], tell: Callable[..., int], study_name: str, statements: Statements
) -> None:
    patient, curious = make_views(max_age_s=60.0), make_views(max_age_s=0.0)
    tell(0.5, 0.5)
    assert len(patient.get(study_name).trials) == len(curious.get(study_name).trials) == 1
    tell(0.5, 0.5)
    statements.clear()
    assert len(patient.get(study_name).trials) == 1
    assert n_looks(statements) == 0
    assert len(curious.get(study_name).trials) == 2


def test_views_that_nobody_asks_for_are_dropped(
    make_views: Callable[..., StudyViews], tell: Callable[..., int], study_name: str
) -> None:
    tell(0.5, 0.5)
    views = make_views(keep_s=-1.0)
    first = views.get(study_name)
    assert views.names == [study_name]
    assert views.get(study_name).line != first.line


def test_a_glance_keeps_nothing(views: StudyViews, tell: Callable[..., int], study_name: str) -> None:
    tell(0.5, 0.5)
    assert len(views.glance(study_name).trials) == 1
    assert views.names == []
    view = views.get(study_name)
    assert views.glance(study_name) is view


def test_body_is_built_once_for_each_moment(views: StudyViews, tell: Callable[..., int], study_name: str) -> None:
    built: list[int] = []

    def make(view: StudyView) -> bytes:
        built.append(len(view.trials))
        return b"%d" % len(view.trials)

    async def ask() -> set[str]:
        bodies = await asyncio.gather(*(views.body(study_name, "n", make) for _ in range(20)))
        return {body.etag for body in bodies}

    tell(0.5, 0.5)
    first = asyncio.run(ask())
    assert first == asyncio.run(ask())
    tell(0.5, 0.5)
    assert asyncio.run(ask()).isdisjoint(first)
    assert built == [1, 2]


def test_who_asks_is_answered_while_the_next_answer_is_made(
    make_views: Callable[..., StudyViews],
    tell: Callable[..., int],
    study_name: str,
    locked_trials: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(study_views, "_AHEAD", 0.0)
    views = make_views(max_age_s=600.0)

    async def ask() -> bytes:
        return (await views.body(study_name, "n", lambda view: b"%d" % len(view.trials))).content

    async def ask_again_and_again() -> None:
        tell(0.5, 0.5)
        assert await ask() == b"1"
        tell(0.5, 0.5)
        with locked_trials():  # in which nobody can read the study
            assert [await ask() for _ in range(3)] == [b"1"] * 3
        while await ask() != b"2":
            await asyncio.sleep(0.01)

    asyncio.run(ask_again_and_again())


@pytest.mark.usefixtures("study")
def test_body_that_cannot_be_built_is_an_error_for_who_asked(views: StudyViews, study_name: str) -> None:
    def refuse(_: StudyView) -> bytes:
        raise SelectionError("nothing fits")

    for _ in range(2):
        with pytest.raises(SelectionError, match="nothing fits"):
            asyncio.run(views.body(study_name, "n", refuse))


@pytest.mark.usefixtures("study")
def test_only_so_many_bodies_are_kept_and_none_that_is_large(views: StudyViews, study_name: str) -> None:
    view = views.get(study_name)
    for key in range(100):
        view.build(key, lambda _: b"small")
    view.build("large", lambda _: b"x" * 2_000_000)
    kept = [key for key in range(100) if view.built(key)]
    assert kept == list(range(68, 100))
    assert view.built("large") is None


def test_work_runs_beside_the_loop(views: StudyViews) -> None:
    assert asyncio.run(views.run(partial(sum, (1, 2)))) == 3
