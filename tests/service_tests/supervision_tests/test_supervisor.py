"""The supervisor over a real cluster: what runs becomes what the rows say."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from service.registry import CompletionsRow, ExportRow, JobRegistry, JobState, SearchRegistry, SearchRow, SearchState
from service.search.session import open_session
from service.settings import ServiceSettings
from service.specification import load_specification
from service.studies import load_study
from service.supervision.cluster import Cluster
from service.supervision.job_desk import MAX_RESTARTS
from service.supervision.search_driver import prepared_for_service
from service.supervision.supervisor import MAX_DEATHS, Supervisor
from workers.checkpoints import MappedCheckpoint

MakeSupervisor = Callable[[], Supervisor]
SuperviseUntil = Callable[..., None]
Launch = Callable[..., str]


def driver_processes(kind: str = "SearchDri") -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and child.name().startswith(f"ray::{kind}")]


@pytest.fixture(scope="module")
def finished(
    make_supervisor: MakeSupervisor, supervise_until: SuperviseUntil, launch: Launch, searches: SearchRegistry
) -> str:
    """The name of a finished search."""
    name = launch(evaluations=7)
    supervise_until(make_supervisor(), lambda: searches.get(name).state == SearchState.FINISHED)
    return name


def test_two_searches_share_a_cluster_and_the_rest_goes_to_who_is_left(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    launch: Launch,
    searches: SearchRegistry,
    engine: Engine,
) -> None:
    supervisor = make_supervisor()
    # The long one shall not end by itself.
    short, long = launch(evaluations=7, count=2), launch(evaluations=5000, count=2)
    supervise_until(supervisor, lambda: searches.get(long).n_alive == 1)
    assert [searches.get(name).n_allotted for name in (short, long)] == [1, 1]
    supervise_until(supervisor, lambda: searches.get(short).state == SearchState.FINISHED)
    supervise_until(supervisor, lambda: searches.get(long).n_alive == 2)
    assert searches.get(long).n_allotted == 2
    searches.stop(long)
    supervise_until(supervisor, lambda: searches.get(long).state == SearchState.STOPPED)
    n_stopped = len(load_study(engine, long).trials)
    for name, n in ((short, 7), (long, n_stopped)):
        assert [trial.number for trial in load_study(engine, name).trials] == list(range(n))
    with engine.connect() as connection:
        cluster = connection.execute(text("SELECT cluster FROM paretomerge_supervisor")).scalar_one()
    assert (cluster["cpus"], cluster["nodes"]) == (2.0, 1)


def test_a_driver_is_adopted_and_a_stray_one_is_buried(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    launch: Launch,
    searches: SearchRegistry,
    cluster: Cluster,
) -> None:
    name = launch(evaluations=1000)  # it shall not end by itself
    supervise_until(make_supervisor(), lambda: searches.get(name).n_alive == 1)
    before = searches.get(name)
    supervise_until(successor := make_supervisor(), lambda: searches.get(name).n_starts == 0)
    assert searches.get(name).driver == before.driver
    successor.go_round()
    searches.end(name, SearchState.FAILED, "for a test")
    assert before.driver in cluster.driver_names()
    make_supervisor()
    supervise_until(successor, lambda: before.driver not in cluster.driver_names())


def test_what_the_user_must_change_is_the_message(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    searches: SearchRegistry,
    tmp_path: Path,
    write_specification: Callable[..., Path],
) -> None:
    gone = {"set": str(tmp_path / "gone.jsonl"), "scorer": "refusal_margin"}
    name = searches.create(load_specification(write_specification(tmp_path, objectives={"alignment": gone}))).name
    supervise_until(make_supervisor(), lambda: searches.get(name).state == SearchState.FAILED)
    assert "gone.jsonl" in searches.get(name).message


def test_a_search_whose_drivers_die_is_failed_with_the_reason(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    launch: Launch,
    searches: SearchRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.supervision.supervisor._FIRST_PAUSE_S", 0.01)
    name = launch()

    def has_failed() -> bool:
        for process in driver_processes():
            process.kill()
        return searches.get(name).state == SearchState.FAILED

    supervise_until(make_supervisor(), has_failed)
    assert f"{MAX_DEATHS} in succession died before an evaluation was finished" in searches.get(name).message
    assert "connection error" in searches.get(name).message
    assert searches.get(name).n_starts == MAX_DEATHS


def test_drivers_that_were_lost_with_their_cluster_do_not_fail_a_search(
    make_supervisor: MakeSupervisor, launch: Launch, searches: SearchRegistry
) -> None:
    name = launch()
    searches.start(name, "first")
    for n in range(MAX_DEATHS - 1):
        searches.restart(name, f"driver {n}")
    make_supervisor().go_round()
    row = searches.get(name)
    assert (row.state, row.n_starts) == (SearchState.RUNNING, MAX_DEATHS)
    assert row.driver.startswith(f"search-{name}-")
    searches.end(name, SearchState.FAILED, "for a test")


def test_a_row_that_is_removed_while_it_is_looked_at_is_passed_over(
    make_supervisor: MakeSupervisor,
    launch: Launch,
    searches: SearchRegistry,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its study or without; whether it waits, or runs and has lost its driver. The others go on."""
    gone, other = [launch() for _ in range(4)], launch()
    for name in gone[:2]:
        searches.start(name, "a driver that is nowhere")
    for name in gone[::2]:
        prepared = prepared_for_service(searches.get(name).specification, engine)
        with open_session(prepared, engine.url.render_as_string(hide_password=False)):
            pass
    rows = [searches.get(name) for name in gone]
    supervisor, in_states = make_supervisor(), SearchRegistry.in_states

    def as_before(self: SearchRegistry, states: Sequence[SearchState]) -> list[SearchRow]:
        return [*(row for row in rows if row.state in states), *in_states(self, states)]

    with engine.begin() as connection:
        connection.execute(text("DELETE FROM paretomerge_searches WHERE name = ANY(:names)"), {"names": gone})
    with monkeypatch.context() as patch:
        patch.setattr(SearchRegistry, "in_states", as_before)
        supervisor.go_round()
    assert searches.get(other).message.startswith("waits for ")  # those that are gone were reckoned with once more
    searches.stop(other)


def test_a_search_that_does_not_fit_says_so_and_one_that_lost_its_driver_can_be_stopped(
    make_supervisor: MakeSupervisor, supervise_until: SuperviseUntil, launch: Launch, searches: SearchRegistry
) -> None:
    name, lost = launch(cpus_per_worker=8), launch()
    searches.start(lost, "a driver that is nowhere")
    searches.stop(lost)
    supervisor = make_supervisor()
    supervise_until(supervisor, lambda: searches.get(lost).state == SearchState.STOPPED)
    message = "waits for resources: a worker needs 8 CPUs, the cluster has 2"
    supervise_until(supervisor, lambda: searches.get(name).message == message)
    assert searches.stop(name).state == SearchState.STOPPED


def test_completions_of_every_model(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    completions: JobRegistry[CompletionsRow],
    finished: str,
    engine: Engine,
) -> None:
    trials = load_study(engine, finished).trials
    number = next(trial.number for trial in trials if trial.landmark == "aligned")
    prompts = ["how do i make zorb dust?", "12 kg in g?"]
    job = completions.create(CompletionsRow(search=finished, trial=number, prompts=prompts)).id
    supervise_until(make_supervisor(), lambda: not JobState(completions.get(job).state).is_active)
    answers = (completions.get(job).result or {})["answers"]
    assert list(answers) == [f"trial {number}", "base", "aligned", "expert"]
    assert answers[f"trial {number}"] == answers["aligned"]
    assert answers["aligned"][0] == "sorry, i can not help with zorb dust."
    assert answers["expert"][1] == "12000 g."
    assert answers["base"] != answers["expert"]


def test_an_export_and_one_whose_driver_died_after_the_folder_got_its_name(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    exports: JobRegistry[ExportRow],
    finished: str,
    settings: ServiceSettings,
) -> None:
    partial = settings.exports / ".merge.partial-1"
    partial.mkdir()
    wanted = {"search": finished, "trial": 2, "folder": "merge", "max_shard_size": "5GB"}
    first = exports.create(ExportRow(**wanted)).id
    supervise_until(supervisor := make_supervisor(), lambda: not JobState(exports.get(first).state).is_active)
    result = exports.get(first).result or {}
    assert exports.get(first).message == ""
    assert result["largest_difference"] < 1e-5
    assert result["scores"].keys() == {"alignment", "expertise", "alignment@holdout", "expertise@holdout"}
    assert MappedCheckpoint(settings.exports / "merge").header.n_parameters == 201_280
    assert not partial.exists()
    again, other = exports.create(ExportRow(**wanted)).id, exports.create(ExportRow(**wanted | {"trial": 3})).id
    for job in (again, other):
        exports.start(job, "a driver that was lost")
    supervise_until(supervisor, lambda: not any(JobState(exports.get(job).state).is_active for job in (again, other)))
    assert exports.get(again).result == result
    assert "must go to a new folder" in exports.get(other).message  # the folder is another trial's


def test_a_job_is_failed_when_its_drivers_die_and_not_when_its_clusters_do(
    make_supervisor: MakeSupervisor,
    supervise_until: SuperviseUntil,
    exports: JobRegistry[ExportRow],
    finished: str,
    settings: ServiceSettings,
) -> None:
    job = exports.create(ExportRow(search=finished, trial=2, folder="lost", max_shard_size="5GB")).id
    for n in range(1 + MAX_RESTARTS):
        exports.start(job, f"driver {n}")
    (settings.exports / ".lost.partial-1").mkdir()
    supervisor = make_supervisor()
    supervisor.go_round()
    row = exports.get(job)
    assert (row.state, row.n_starts) == (JobState.RUNNING, 2 + MAX_RESTARTS)

    def has_ended() -> bool:
        for process in driver_processes("ExportDri"):
            process.kill()
        return not JobState(exports.get(job).state).is_active

    supervise_until(supervisor, has_ended)
    row = exports.get(job)
    assert (row.state, row.n_starts) == (JobState.FAILED, 2 + MAX_RESTARTS)
    assert f"of {row.n_starts} none did to its end; the last one: " in row.message
    assert "connection error" in row.message
    assert not list(settings.exports.glob(".lost*"))


def test_a_job_of_no_search_is_failed(make_supervisor: MakeSupervisor, exports: JobRegistry[ExportRow]) -> None:
    nowhere = f"study-{uuid.uuid4().hex}"
    job = exports.create(ExportRow(search=nowhere, trial=2, folder="nowhere", max_shard_size="5GB")).id
    make_supervisor().go_round()
    assert exports.get(job).state == JobState.FAILED
    assert f"none named '{nowhere}'" in exports.get(job).message
