"""A study read from the real service is the one that lies in the database."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from search_spaces.errors import MissingError, SelectionError, StateError
from service.client import remote_service
from service.client.remote_service import RemoteService
from service.client.remote_study import load_remote_study
from service.registry import SearchRegistry, SearchState
from service.specification import parse_specification
from service.studies import SearchStudy, load_study

Run = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., SearchStudy]

TOKEN = "a-token-that-nobody-may-read"


@pytest.mark.parametrize("racing", [False, True])
def test_every_number_comes_whole(service: RemoteService, stored: Write, engine: Engine, racing: bool) -> None:
    name = stored(racing=racing).identity.name
    here, there = load_study(engine, name), load_remote_study(service, name)
    assert there.identity.objectives == here.identity.objectives
    assert there.identity.specification == here.identity.specification
    assert len(there.trials) == 12
    for ours, theirs in zip(here.trials, there.trials, strict=True):
        for field in ("number", "values", "standard_errors", "landmark", "make_s", "score_s", "failure", "share"):
            assert getattr(ours, field) == getattr(theirs, field), field
    assert sum(trial.was_stopped for trial in there.trials) == racing


def test_pages_are_put_together(service: RemoteService, stored: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_service, "_PAGE", 5)
    name = stored().identity.name
    assert [trial.number for trial in service.trials(name)] == list(range(12))


def test_a_study_without_trials(service: RemoteService, stored: Write) -> None:
    found = load_remote_study(service, stored(0).identity.name)
    assert (found.trials, dict(found.scores)) == ((), {})


def test_a_study_that_is_not_there(service: RemoteService, stored: Write) -> None:
    stored()
    with pytest.raises(SelectionError, match=r"there is none named 'nowhere'. There are: .*study-"):
        load_remote_study(service, "nowhere")


def test_a_trial_and_its_coefficients(service: RemoteService, stored: Write) -> None:
    name = stored().identity.name
    assert service.trial(name, 0).landmark == "base"
    with pytest.raises(MissingError, match="99"):
        service.trial(name, 99)


# ---- searches -----------------------------------------------------------------------------------


def test_a_specification_keeps_its_order(
    service: RemoteService, engine: Engine, study_name: str, write_specification: Callable[..., Path], tmp_path: Path
) -> None:
    """Of objectives, whose values are told apart by their place, and of experts, whose coefficients are drawn so."""
    given = parse_specification(write_specification(tmp_path, name=study_name).read_text(), tmp_path)
    turned = given.model_copy(update={"objectives": dict(reversed(given.objectives.items()))})
    SearchRegistry(engine).create(turned)
    detail = service.search(study_name)
    assert detail.objectives == ("expertise", "alignment")
    assert list(detail.specification["objectives"]) == ["expertise", "alignment"]


def test_a_search_is_launched_stopped_and_resumed(
    service: RemoteService, study_name: str, write_specification: Callable[..., Path], tmp_path: Path
) -> None:
    text = write_specification(tmp_path, name=study_name, workers={"pool": "ray"}).read_text()
    assert service.launch(text).state == SearchState.QUEUED
    with pytest.raises(StateError, match="exists"):
        service.launch(text)
    assert service.stop(study_name).state == SearchState.STOPPED
    assert service.resume(study_name, text.replace("evaluations: 8", "evaluations: 9")).budget == 9
    assert study_name in [search.name for search in service.searches().searches]


def test_events_tell_of_a_study_that_is_there(service: RemoteService, stored: Write) -> None:
    name = stored().identity.name
    found: dict[str, Any] = {}
    for event in service.events(name):
        found[event.event] = event.json()
        if found.keys() >= {"search", "points"}:
            break
    assert found["search"]["name"] == name
    assert found["points"]["reset"] is True
    assert found["points"]["numbers"] == list(range(12))


# ---- the commands -------------------------------------------------------------------------------


@pytest.fixture
def both(run_command: Run, service_url: str, database_url: str) -> Callable[..., tuple[str, str]]:
    """What a command prints over the database, and by the service."""

    def run(*arguments: str, exit_code: int = 0) -> tuple[str, str]:
        here = run_command(*arguments, PARETOMERGE_DATABASE_URL=database_url)
        there = run_command("--server", service_url, *arguments, PARETOMERGE_TOKEN=TOKEN)
        assert (here.returncode, there.returncode) == (exit_code, exit_code), there.stderr
        assert here.stderr == there.stderr
        return here.stdout, there.stdout

    return run


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ({}, ()),
        ({}, ("--json",)),
        ({}, ("--where", "alignment>=0.5", "--where", "restraint>=0.2", "--json")),
        ({"verdicts": False}, ()),
        ({"verdicts": False}, ("--json",)),
        ({"racing": True}, ()),
        ({"racing": True}, ("--json",)),
    ],
    ids=lambda given: " ".join(given) or "plain",
)
def test_front_prints_the_same_to_the_byte(
    both: Callable[..., tuple[str, str]], stored: Write, shape: dict[str, bool], options: tuple[str, ...]
) -> None:
    here, there = both("front", stored(**shape).identity.name, *options)
    assert here == there
    assert len(here.splitlines()) > 3


def test_front_fails_the_same(both: Callable[..., tuple[str, str]], stored: Write) -> None:
    name = stored().identity.name
    both("front", name, "--where", "alignment>=9", exit_code=2)
    both("front", name, "--where", "kindness>=0", exit_code=2)


def test_front_plots_the_same_points(both: Callable[..., tuple[str, str]], stored: Write, tmp_path: Path) -> None:
    picture = tmp_path / "front.png"
    both("front", stored().identity.name, "--plot", str(picture))
    assert picture.stat().st_size > 10_000
