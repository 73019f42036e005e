"""Metrics: what Prometheus reads is what the database holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from service.registry import SearchRegistry, SearchState
from service.search import PreparedSearch
from service.studies import Driver, SearchStudy


def scrape(client: TestClient) -> dict[str, Metric]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in read_text(answer.text)}


def of(family: Metric, **labels: str) -> float:
    """The value of the sample with these labels."""
    (found,) = [sample.value for sample in family.samples if labels.items() <= sample.labels.items()]
    return found


def test_evaluations_failures_and_seconds(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((0.5, 0.5), None, (0.6, 0.4), None, (0.1, 0.1))
    families = scrape(client)
    evaluations = families["paretomerge_evaluations"]
    assert (of(evaluations, search=launched, state="complete"), of(evaluations, search=launched, state="failed")) == (
        3,
        2,
    )
    assert of(families["paretomerge_failures"], search=launched, reason="out_of_memory") == 2
    seconds = families["paretomerge_stage_seconds"]
    assert of(seconds, search=launched, stage="make") == pytest.approx(3 * 0.1)
    assert of(seconds, search=launched, stage="score") == pytest.approx(3 * 0.2)
    assert {family.type for family in (evaluations, families["paretomerge_failures"], seconds)} == {"counter"}
    front = client.get(f"/v1/searches/{launched}/front").json()
    assert of(families["paretomerge_hypervolume"], search=launched) == pytest.approx(front["hypervolume"])


def test_hypervolume_follows_the_search(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    assert launched not in {s.labels["search"] for s in scrape(client)["paretomerge_hypervolume"].samples}
    found = []
    for values in ((0.1, 0.1), (0.5, 0.5)):
        tell(values)
        found.append(of(scrape(client)["paretomerge_hypervolume"], search=launched))
    assert found[0] < found[1]
    assert of(scrape(client)["paretomerge_hypervolume"], search=launched) == found[1]


def test_what_is_under_way(client: TestClient, launched: str, prepared: PreparedSearch, engine: Engine) -> None:
    with Driver(engine) as driver:
        SearchStudy(engine, driver, prepared.identity, prepared.plan()).ask()
        assert of(scrape(client)["paretomerge_evaluations_running"], search=launched) == 1


def test_workers_and_states(client: TestClient, launched: str, engine: Engine) -> None:
    before = scrape(client)["paretomerge_searches"]
    assert {sample.labels["state"] for sample in before.samples} == set(SearchState)
    searches = SearchRegistry(engine)
    searches.start(launched, "driver")
    searches.allot(launched, 4)
    searches.report(launched, "driver", n_alive=3, has_progressed=False)
    families = scrape(client)
    after = families["paretomerge_searches"]
    assert of(after, state="running") == of(before, state="running") + 1
    assert of(after, state="queued") == of(before, state="queued") - 1
    assert of(families["paretomerge_workers_alive"], search=launched) == 3
    assert of(families["paretomerge_workers_allotted"], search=launched) == 4
    searches.end(launched, SearchState.STOPPED)


def test_cluster(client: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE paretomerge_supervisor SET beat_at = to_timestamp(1000),"
                """ cluster = '{"cpus": 8, "gpus": 2, "nodes": 3, "workers_alive": 5}'"""
            )
        )
    families = scrape(client)
    assert families["paretomerge_supervisor_beat_timestamp_seconds"].samples[0].value == 1000
    found = {key: families[f"paretomerge_cluster_{key}"].samples[0].value for key in ("cpus", "gpus", "nodes")}
    assert found == {"cpus": 8, "gpus": 2, "nodes": 3}
    assert families["paretomerge_cluster_workers_alive"].samples[0].value == 5
    with engine.begin() as connection:
        connection.execute(text("UPDATE paretomerge_supervisor SET beat_at = NULL, cluster = '{}'"))
    assert scrape(client)["paretomerge_cluster_cpus"].samples[0].value == 0


def test_every_family_says_what_it_is(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((0.5, 0.5), None)
    families = scrape(client)
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families.values())
    assert "process_resident_memory_bytes" in families


def test_openmetrics_for_who_takes_it(client: TestClient, launched: str, tell: Callable[..., None]) -> None:
    tell((0.5, 0.5), None)
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in read_openmetrics(answer.text)}  # type: ignore[no-untyped-call]
    assert {"paretomerge_evaluations", "paretomerge_hypervolume"} <= names
